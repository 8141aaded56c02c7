use std::fs;

use bytes::Bytes;

use super::*;

fn check_contract(objects: &Objects) {
    objects.put("a/b/one", Bytes::from_static(b"1")).unwrap();
    objects.put("a/b/one", Bytes::from_static(b"2")).unwrap();
    assert_eq!(objects.get("a/b/one").unwrap(), Bytes::from_static(b"2"));
    assert!(objects.put_new("a/two", Bytes::from_static(b"first")).unwrap());
    assert!(!objects.put_new("a/two", Bytes::from_static(b"second")).unwrap());
    assert_eq!(objects.get("a/two").unwrap(), Bytes::from_static(b"first"));
    let names: Vec<String> = objects.list("a").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["two"], "what lies deeper is not in the folder");
    assert_eq!(objects.list("nowhere").unwrap(), []);
    assert!(objects.get("a/none").unwrap_err().is_not_found());
    objects.delete("a/two").unwrap();
    objects.delete("a/two").unwrap();
    assert!(objects.get("a/two").unwrap_err().is_not_found());
    assert_eq!(objects.below("a").below("b").get("one").unwrap(), Bytes::from_static(b"2"));
}

#[test]
fn every_local_store_keeps_the_contract() {
    let (durable, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    check_contract(&Objects::folder(durable.path()).unwrap());
    check_contract(&Objects::scratch_folder(scratch.path()).unwrap());
    check_contract(&Objects::memory());
    check_contract(&Objects::memory().below("deep"));
}

#[test]
fn of_many_that_put_the_same_new_object_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::folder(folder.path()).unwrap();
    let won: Vec<usize> = std::thread::scope(|scope| {
        let putting = |writer: usize| {
            let objects = &objects;
            scope.spawn(move || {
                objects.put_new("x/new", Bytes::from(vec![writer as u8; 100_000])).unwrap().then_some(writer)
            })
        };
        let writers: Vec<_> = (0..8).map(putting).collect();
        writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect()
    });
    assert_eq!(won.len(), 1);
    assert_eq!(objects.get("x/new").unwrap(), Bytes::from(vec![won[0] as u8; 100_000]));
    let left: Vec<_> = fs::read_dir(folder.path().join("x")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["new"], "no half-written file is left");
}

#[test]
fn what_a_crash_left_half_written_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::folder(folder.path()).unwrap();
    objects.put("x/whole", Bytes::from_static(b"whole")).unwrap();
    fs::write(folder.path().join("x/.putting-abc#0"), b"ha").unwrap();
    let names: Vec<String> = objects.list("x").unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["whole"]);
}

#[test]
fn a_taken_number_fences_and_the_same_object_again_does_not() {
    let numbered = NumberedObjects::new(&Objects::memory(), "chain");
    let (ours, theirs) = (Bytes::from_static(b"ours"), Bytes::from_static(b"theirs"));
    assert_eq!(numbered.take(7, &ours).unwrap(), None);
    assert_eq!(numbered.take(7, &ours).unwrap(), None);
    assert_eq!(numbered.take(7, &theirs).unwrap(), Some(7));
    assert_eq!(numbered.take(6, &theirs).unwrap(), Some(7));
    assert_eq!(numbered.take(8, &theirs).unwrap(), None);
    assert_eq!(numbered.highest().unwrap(), Some(8));
    numbered.delete(7).unwrap();
    assert_eq!(numbered.take(7, &ours).unwrap(), Some(8), "a freed number is not taken again");
}

#[test]
fn settings_of_a_bucket_are_refused_without_repeating_them() {
    let open = |settings: &[(&str, &str)]| {
        Objects::s3(S3Place { bucket: "shop", prefix: "a/b", settings }).unwrap_err().to_string()
    };
    let unknown = open(&[("secret_acess_key", "swordfish")]);
    assert!(unknown.contains("secret_acess_key is no setting") && !unknown.contains("swordfish"), "{unknown}");
    let fixed = open(&[("conditional_put", "disabled")]);
    assert!(fixed.contains("puts must be conditional"), "{fixed}");
    let settings = [("access_key_id", "shop"), ("secret_access_key", "swordfish"), ("region", "eu-central-1")];
    let objects = Objects::s3(S3Place { bucket: "shop", prefix: "a/b", settings: &settings }).unwrap();
    assert!(!format!("{objects:?}").contains("swordfish"));
    assert_eq!(objects.place_of("c"), "s3://shop/a/b/c");
}

#[test]
fn what_a_server_says_is_told_without_its_document() {
    let source = object_store::Error::Generic {
        store: "S3",
        source: "Server returned 400: <Error><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>".into(),
    };
    let sentence = ObjectsError::Read { path: "s3://shop/x".into(), source }.to_string();
    assert!(sentence.contains("Server returned 400: mend it") && !sentence.contains("AKIA"), "{sentence}");
    let source = object_store::Error::PermissionDenied { path: "x".into(), source: "<AWSAccessKeyId>AKIA".into() };
    let denied = ObjectsError::Write { path: "s3://shop/x".into(), source };
    assert!(
        denied.to_string().ends_with("check them, and what they may do there") && !denied.is_retriable(),
        "{denied}"
    );
}
