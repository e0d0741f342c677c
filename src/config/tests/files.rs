//! The configuration as a file, and the files that it names.
#![expect(
    clippy::disallowed_methods,
    reason = "the files that are read here must be written first"
)]

use std::path::Path;

use super::super::load;
use super::CERTIFICATE;

/// A folder with a configuration in it.
fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = text.replace("FOLDER", &folder.path().display().to_string());
    std::fs::write(&path, text + CERTIFICATE).unwrap();
    (folder, path)
}

fn root_in_pem() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["ca.example.com".to_owned()];
    let parameters = rcgen::CertificateParams::new(names).unwrap();
    parameters.self_signed(&key).unwrap().pem()
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_problem() {
    let problems = load(Path::new("/nonexistent/config.toml")).unwrap_err();
    let shown = problems.render(false);
    assert!(
        shown.starts_with("error: could not read the configuration: "),
        "{shown}"
    );
    assert!(shown.contains("--> /nonexistent/config.toml"), "{shown}");
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let (_folder, path) = written("");
    std::fs::write(&path, b"contact = [\"\xff\"]").unwrap();
    assert!(load(&path).is_err());
}

#[test]
fn problems_name_the_file() {
    let (_folder, path) = written("nmaes = 1\n");
    let shown = load(&path).unwrap_err().render(false);
    assert!(
        shown.contains(&format!("--> {}:1:1", path.display())),
        "{shown}"
    );
}

#[test]
fn further_roots_are_read() {
    let (folder, path) = written("[network]\nca_file = \"FOLDER/roots.pem\"\n");
    let roots = root_in_pem() + &root_in_pem();
    std::fs::write(folder.path().join("roots.pem"), roots).unwrap();
    let network = load(&path).unwrap().config.network;
    assert_eq!(network.extra_roots.len(), 2);
    network.client().unwrap();
}

#[test]
fn roots_that_are_none_are_refused() {
    let truncated: String = root_in_pem().lines().take(1).collect();
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in ["", "hello", truncated.as_str(), no_certificate] {
        let (folder, path) = written("[network]\nca_file = \"FOLDER/roots.pem\"\n");
        std::fs::write(folder.path().join("roots.pem"), text).unwrap();
        let shown = load(&path).unwrap_err().render(false);
        assert!(shown.contains("config.toml:2:11"), "{shown}");
        assert!(shown.contains("-----BEGIN CERTIFICATE-----"), "{shown}");
    }
    let (_folder, path) = written("[network]\nca_file = \"FOLDER/roots.pem\"\n");
    let shown = load(&path).unwrap_err().render(false);
    assert!(shown.contains("could not read the roots"), "{shown}");
}

#[test]
fn a_secret_that_cannot_be_read_is_a_note_and_no_failure() {
    let settings = "[store]\nkey_file = \"FOLDER/key\"\n[clouds.a]\n\
                    credentials = { access_key_id = \"LTAI\", access_key_secret_file = \"FOLDER/secret\" }\n";
    let (folder, path) = written(settings);
    let notes = |path: &Path| load(path).unwrap().warnings.render(false);
    let shown = notes(&path);
    assert_eq!(
        shown
            .matches("note: this user cannot read the secret")
            .count(),
        2,
        "{shown}"
    );

    for name in ["key", "secret"] {
        std::fs::write(folder.path().join(name), "s3cret").unwrap();
    }
    let shown = notes(&path);
    assert!(!shown.contains("note: "), "{shown}");
}
