//! Detector of users in paths: `/home/ada/x`, `/Users/ada`, `C:\Users\ada`, `/pnfs/x/users/ada`,
//! `/afs/x/user/a/ada`, `~ada`. Only the user is found, so that the rest of the path stays readable; names
//! of projects and of files in it are not looked for.

use super::find::{Finds, Kind};
use super::words::{Text, back, byte, byte_before, forward, joins_before, mark, part};

/// Looks for users in paths.
pub(super) fn find(text: &Text<'_>, finds: &mut Finds) {
    if !finds.wants(Kind::PathUser) {
        return;
    }
    let bytes = text.bytes;
    if text.marks & mark(b'/') != 0 {
        for (slash, _) in text.text.match_indices('/') {
            if is_home(part(bytes, back(bytes, slash, of_folder), slash)) {
                below(bytes, slash, finds);
            }
        }
    }
    if text.marks & mark(b'\\') != 0 {
        for (slash, _) in text.text.match_indices('\\') {
            windows(bytes, slash, finds);
        }
    }
    if text.marks & mark(b'~') != 0 {
        for (tilde, _) in text.text.match_indices('~') {
            let end = forward(bytes, tilde + 1, of_user);
            let starts_well = byte(bytes, tilde + 1).is_ascii_alphabetic();
            if starts_well && !joins_before(text.text, tilde) {
                add(bytes, tilde + 1, end, finds);
            }
        }
    }
}

const fn of_folder(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What names of users are made of, and folders that stand for them.
const fn of_user(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'@' | b'$' | 0x80..)
}

/// Whether the folders in this one are those of users.
fn is_home(folder: &[u8]) -> bool {
    if !matches!(folder.first(), Some(b'h' | b'H' | b'u' | b'U')) {
        return false;
    }
    let of = |known: &[u8]| folder.eq_ignore_ascii_case(known);
    let home = folder.split_at_checked(4).is_some_and(|(home, number)| {
        home.eq_ignore_ascii_case(b"home") && number.iter().all(u8::is_ascii_digit)
    });
    home || of(b"homes") || of(b"users") || of(b"user") || folder == b"u"
}

/// The user below a folder of homes, which ends at `slash`.
fn below(bytes: &[u8], slash: usize, finds: &mut Finds) {
    let start = slash + 1;
    let end = forward(bytes, start, of_user);
    // `/user/a/ada`: homes in folders by first letter.
    if end == start + 1 && byte(bytes, end) == b'/' {
        let next = end + 1;
        if byte(bytes, next).eq_ignore_ascii_case(&byte(bytes, start)) {
            add(bytes, start, end, finds);
            return add(bytes, next, forward(bytes, next, of_user), finds);
        }
    }
    add(bytes, start, end, finds);
}

/// The longest name of a user.
const USER_MAX: usize = 64;

fn windows(bytes: &[u8], slash: usize, finds: &mut Finds) {
    let before = part(bytes, 0, slash);
    let users = |folder: &[u8]| {
        before.len().checked_sub(folder.len()).is_some_and(|at| {
            part(before, at, before.len()).eq_ignore_ascii_case(folder)
                && byte_before(before, at) == b'\\'
        })
    };
    if !users(b"users") && !users(b"documents and settings") && !users(b"home") {
        return;
    }
    // A backslash may be written twice.
    let start = forward(bytes, slash, |byte| byte == b'\\');
    let of_name = |byte: u8| of_user(byte) || byte == b' ';
    let with_blanks = forward(bytes, start, of_name);
    let ends_in_folder = byte(bytes, with_blanks) == b'\\' && with_blanks - start <= USER_MAX;
    let end = if ends_in_folder { with_blanks } else { forward(bytes, start, of_user) };
    add(bytes, start, end, finds);
}

/// Adds a user, unless it is a variable. A full stop at the end is one of the sentence.
fn add(bytes: &[u8], start: usize, end: usize, finds: &mut Finds) {
    let end = end - part(bytes, start, end).iter().rev().take_while(|byte| **byte == b'.').count();
    if byte(bytes, start) != b'$' {
        finds.add(Kind::PathUser, start, end);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn the_user_below_a_folder_of_homes_is_found_and_nothing_else() {
        for (text, expected) in [
            ("/home/ada/run.sh HOME=/home2/bob", vec!["ada", "bob"]),
            ("/Users/Ada.L/x /pnfs/dune/scratch/users/eve/", vec!["Ada.L", "eve"]),
            ("/afs/cern.ch/user/j/jdoe/w /u/kim", vec!["j", "jdoe", "kim"]),
            ("/nfs/data/homes/zoë.", vec!["zoë"]),
            ("cd ~ada/x ~/y a~b x~ '~bob'", vec!["ada", "bob"]),
            ("/home/ /home/$USER /usr/local/bin /homework/x users/ada", vec!["ada"]),
        ] {
            assert_eq!(found(find, Kind::PathUser, text), expected, "{text}");
        }
    }

    #[test]
    fn a_user_of_windows_may_have_blanks() {
        for (text, expected) in [
            ("C:\\Users\\Jane Doe\\x.txt", vec!["Jane Doe"]),
            ("c:\\users\\jane now", vec!["jane"]),
            ("\"C:\\\\Users\\\\jane\\\\x\"", vec!["jane"]),
            ("D:\\Documents and Settings\\jd\\", vec!["jd"]),
            ("C:\\Windows\\Users.txt \\ \\\\", vec![]),
        ] {
            assert_eq!(found(find, Kind::PathUser, text), expected, "{text}");
        }
    }
}
