//! Originals that are sealed, in every store: numbers stay, only the private key in use opens, and another master
//! key is refused.

use super::*;
use crate::keys::originals::Private;

pub(super) fn sealing_changes_no_number_and_only_the_private_key_opens(open: &Opener) {
    let store = open();
    assert_eq!(store.seal_originals().unwrap_err().code(), Code::Usage);
    let values = ["a", "", "NULL", " jsmith "];
    let numbers = store.numbers("s", &values).unwrap();
    store.numbers("t", &["a"]).unwrap();
    let private = Private::generate().unwrap();
    let public = private.public().unwrap();
    assert_eq!(store.originals_key().unwrap(), None);
    assert!(store.set_originals_key(&public, &ring(7)).unwrap());
    assert_eq!(store.originals_key().unwrap(), Some(public));
    assert!(
        !store
            .set_originals_key(&Private::generate().unwrap().public().unwrap(), &ring(7))
            .unwrap()
    );
    // New values are sealed from now on; the others still lie plain, and all keep their numbers.
    assert_eq!(store.numbers("s", &values).unwrap(), numbers);
    assert_eq!(store.numbers("s", &["b", "a", "c", "b"]).unwrap(), [5, 1, 6, 5]);
    let told = |key: Option<&Private>| -> Vec<Option<String>> {
        let tokens = store.tokens("s", None, key).unwrap();
        tokens.into_iter().map(|token| token.original).collect()
    };
    assert_eq!(told(None)[3..], [Some(" jsmith ".to_owned()), None, None]);
    let whole = ["a", "", "NULL", " jsmith ", "b", "c"].map(|value| Some(value.to_owned()));
    assert_eq!(told(Some(&private)), whole);
    assert_eq!(store.seal_originals().unwrap().sealed, 5);
    assert_eq!(store.seal_originals().unwrap().sealed, 0);
    assert_eq!(told(None), [const { None }; 6]);
    assert_eq!(told(Some(&private)), whole);
    let one = store.tokens("s", Some(6), Some(&private)).unwrap();
    assert_eq!(one[0].original.as_deref(), Some("c"));
    // Another process finds the same numbers, and gives the next ones.
    let other = open();
    other.give_keys(&ring(7));
    assert_eq!(other.numbers("s", &values).unwrap(), numbers);
    assert_eq!(other.numbers("s", &["d", "c"]).unwrap(), [7, 6]);
    assert!(other.token_scopes().unwrap().iter().all(|scope| scope.sealed == scope.tokens));
    // What is taken in is sealed, and what clashes is found, without the private key.
    let clash =
        store.import_tokens("s", &new_tokens(&[(3, "z", None), (9, "a", None)]), 0).unwrap();
    assert_eq!(clash.unwrap_err(), [Clash::Number { at: 0 }, Clash::Value { at: 1, number: 1 }]);
    store.import_tokens("s", &new_tokens(&[(9, "z", None)]), 0).unwrap().unwrap();
    assert_eq!(store.tokens("s", Some(9), None).unwrap()[0].original, None);
    let wrong = Private::generate().unwrap();
    assert_eq!(store.tokens("s", None, Some(&wrong)).unwrap_err().code(), Code::Keys);
}

pub(super) fn another_key_for_originals_opens_all_and_the_old_one_none(open: &Opener) {
    let store = open();
    let [first, second, third] = [(); 3].map(|()| Private::generate().unwrap());
    let public = |private: &Private| private.public().unwrap();
    let rotate = |old: &Private, new: &Private| store.rotate_originals(old, &public(new));
    assert_eq!(rotate(&first, &second).unwrap_err().code(), Code::Usage);
    store.numbers("plain", &["x"]).unwrap();
    assert!(store.set_originals_key(&public(&first), &ring(7)).unwrap());
    // Two batches of one map, one of another.
    store.numbers("s", &["a", "b"]).unwrap();
    store.numbers("s", &["c"]).unwrap();
    store.numbers("t", &["a"]).unwrap();
    let told = |scope: &str, key: &Private| -> crate::error::Result<Vec<String>> {
        let tokens = store.tokens(scope, None, Some(key))?;
        Ok(tokens.into_iter().map(|token| token.original.unwrap()).collect())
    };
    assert_eq!(rotate(&third, &second).unwrap_err().code(), Code::Keys);
    assert_eq!(told("s", &first).unwrap(), ["a", "b", "c"], "nothing was changed");
    assert_eq!(rotate(&first, &second).unwrap().sealed, 4);
    assert_eq!(store.originals_key().unwrap(), Some(public(&second)));
    assert_eq!(told("s", &second).unwrap(), ["a", "b", "c"]);
    assert_eq!(told("t", &second).unwrap(), ["a"]);
    assert_eq!(told("s", &first).unwrap_err().code(), Code::Keys);
    // Values keep their numbers, new ones are sealed with the new key, and what lay plain lies plain.
    assert_eq!(store.numbers("s", &["c", "d", "a"]).unwrap(), [3, 4, 1]);
    assert_eq!(told("s", &second).unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(store.tokens("plain", None, None).unwrap()[0].original.as_deref(), Some("x"));
    assert_eq!(rotate(&second, &third).unwrap().sealed, 5);
    assert_eq!(told("s", &third).unwrap(), ["a", "b", "c", "d"]);
}

pub(super) fn another_master_key_numbers_nothing_once_originals_are_sealed(open: &Opener) {
    let store = open();
    let public = Private::generate().unwrap().public().unwrap();
    assert!(store.set_originals_key(&public, &ring(7)).unwrap());
    assert_eq!(store.numbers("s", &["a"]).unwrap(), [1]);
    let other = open();
    // A store that is the same object has its keys already.
    if other.numbers("s", &["a"]).is_err() {
        assert_eq!(other.numbers("s", &["a"]).unwrap_err().code(), Code::Keys);
        other.give_keys(&ring(8));
        assert_eq!(other.numbers("s", &["a"]).unwrap_err().code(), Code::Keys);
        assert_eq!(other.numbers("s", &["b"]).unwrap_err().code(), Code::Keys);
    }
    assert_eq!(store.token_scopes().unwrap()[0].last, 1);
}
