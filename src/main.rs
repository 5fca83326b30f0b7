//! Arguments in, exit code out.

use std::process::ExitCode;

#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let exit = veilflight::cli::run(std::env::args_os(), &mut out, &mut err);
    ExitCode::from(exit as u8)
}
