//! Where the custodian's things are: the folder of state and the master key, as flags that several
//! verbs share. The server has the same two settings under the same names.

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::Log;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::keys::KeyRing;
use crate::keys::provider::Source;
use crate::server::STATE_FILE;
use crate::state::{Sqlite, Store};

/// The folder of state and the master key.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The folder of state
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = "state",
        env = "VEILFLIGHT_STATE"
    )]
    pub state: PathBuf,
    /// The master key: file:PATH, env:NAME or command:COMMAND; master.key in the folder of state where
    /// nothing is said
    #[arg(
        long,
        global = true,
        value_name = "SOURCE",
        env = "VEILFLIGHT_KEY",
        hide_env_values = true
    )]
    pub key: Option<String>,
}

impl Place {
    /// Where the master keys are.
    ///
    /// # Errors
    /// [`Code::Usage`] when `--key` names no place; the text, which may be a key, is not repeated.
    pub fn key_source(&self) -> Result<Source> {
        match &self.key {
            None => Ok(Source::File(self.state.join(KEY_FILE))),
            Some(text) => {
                text.parse().map_err(|why| Error::new(Code::Usage, format!("`--key`: {why}")))
            }
        }
    }

    /// The state, made where there is none.
    ///
    /// # Errors
    /// [`Code::State`] when it cannot be opened.
    pub fn open_or_create(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(Sqlite::open(&self.state.join(STATE_FILE), clock)?))
    }

    /// The state that is there. A misspelt folder must not pass for an empty state.
    ///
    /// # Errors
    /// [`Code::State`] when there is none, or it cannot be opened.
    pub fn open(&self, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>> {
        let path = self.state.join(STATE_FILE);
        if !path.exists() {
            return Err(Error::new(
                Code::State,
                format!("there is no state at `{}`; `--state` names its folder", path.display()),
            ));
        }
        self.open_or_create(clock)
    }

    /// The key ring.
    ///
    /// # Errors
    /// [`Code::Keys`] when the keys cannot be had.
    pub fn ring(&self) -> Result<Arc<KeyRing>> {
        Ok(Arc::new(self.key_source()?.load()?.into_ring()?))
    }

    /// The audit log, for verbs that leave a trace in it.
    ///
    /// # Errors
    /// [`Code::State`] and [`Code::Keys`] when state or keys cannot be had.
    pub fn log(&self, clock: Arc<dyn Clock>) -> Result<Log> {
        Ok(Log::new(self.open(Arc::clone(&clock))?, clock, self.ring()?))
    }

    /// The audit log, for verbs that may be the first of all: a key beside the state says that the folder is no
    /// misspelt one.
    ///
    /// # Errors
    /// [`Code::State`] when state cannot be had.
    pub fn log_or_create(&self, clock: Arc<dyn Clock>, ring: &Arc<KeyRing>) -> Result<Log> {
        let store = match &self.key {
            None => self.open_or_create(Arc::clone(&clock))?,
            Some(_) => self.open(Arc::clone(&clock))?,
        };
        Ok(Log::new(store, clock, Arc::clone(ring)))
    }
}

/// The master key's file where no other place is named.
const KEY_FILE: &str = "master.key";

/// Parses the arguments of one verb, as the whole command line would.
#[cfg(test)]
pub(super) fn parse<A: clap::Args>(words: &[&str]) -> Result<A, String> {
    let command = A::augment_args(clap::Command::new("veilflight").no_binary_name(true));
    let told = |error: clap::Error| error.render().to_string();
    command.try_get_matches_from(words).and_then(|found| A::from_arg_matches(&found)).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn place(words: &[&str]) -> Place {
        parse(words).unwrap()
    }

    #[test]
    fn the_key_is_beside_the_state_where_nothing_is_said() {
        assert_eq!(place(&[]).key_source().unwrap(), Source::File("state/master.key".into()));
        let moved = place(&["--state", "/srv/veil"]);
        assert_eq!(moved.key_source().unwrap(), Source::File("/srv/veil/master.key".into()));
    }

    #[test]
    fn a_key_comes_from_a_file_a_variable_or_a_command() {
        for (text, source) in [
            ("file:a/b", Source::File("a/b".into())),
            ("env:KEY", Source::Environment("KEY".to_owned())),
            ("command:pass show x:y", Source::Command("pass show x:y".to_owned())),
        ] {
            assert_eq!(place(&["--key", text]).key_source().unwrap(), source);
        }
    }

    #[test]
    fn a_key_in_place_of_its_place_is_not_repeated() {
        let error = place(&["--key", "deadbeef"]).key_source().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`--key`: it starts with none of `file:`, `env:` and `command:`"
        );
    }

    #[test]
    fn a_misspelt_folder_is_no_empty_state() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error =
            place(&["--state", missing.to_str().unwrap()]).open(Arc::new(SystemClock)).unwrap_err();
        assert!(error.to_string().starts_with("there is no state at `"), "{error}");
        assert!(!missing.exists());
    }
}
