//! Signed manifests: a changed archive or a changed manifest is reported.

use crate::support::env::wait_until;
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    manifest_verifies_until_something_changes,
}

fn manifest_verifies_until_something_changes(fixture: VerifyFixture) {
    let (key, other) = (fixture.key("1"), fixture.key("2"));
    fixture
        .verify(&["--manifest", "m.jsonl", "--key", &key])
        .assert_ok()
        .assert_prints("written to m.jsonl and signed");
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_ok()
        .assert_prints("The archive is intact");
    // Windows that were merged since do not contradict the manifest.
    let rows = fixture.query_number("SELECT count(*) FROM sealed_window");
    let ended = "SELECT max(to_s) FROM sealed_window";
    let end = fixture.query_number(ended);
    wait_until("a second has passed", || {
        fixture.env.world().now().second().0 > end + 3
    });
    fixture.env.sync().assert_ok();
    assert!(
        fixture.query_number("SELECT count(*) FROM sealed_window") == rows
            && fixture.query_number(ended) > end
    );
    fixture.verify(&["--against", "m.jsonl"]).assert_ok();

    // Messages and ledger are changed together.
    let before = fixture.archived_rows();
    fixture.insert_forged(fixture.forged());
    fixture.reseal();
    fixture.verify(&[]).assert_ok();
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_incomplete()
        .assert_prints("of the manifest says")
        .assert_prints("1 more");
    fixture
        .verify(&["--against", "m.jsonl", "--repair"])
        .assert_ok()
        .assert_prints("1 moved to quarantine");
    fixture.assert_holds(&before, "");

    fixture
        .verify(&["--manifest", "n.jsonl", "--key", &other])
        .assert_ok();
    let verified = fixture.verify(&["--against", "m.jsonl"]).assert_ok().stdout;
    let (_, signer) = verified.split_once("valid signature of ").unwrap();
    let (signer, _) = signer.split_once(':').unwrap();
    fixture
        .verify(&["--against", "m.jsonl", "--public-key", signer])
        .assert_ok();
    fixture
        .verify(&["--against", "n.jsonl", "--public-key", signer])
        .assert_incomplete()
        .assert_prints("not by");
    let m = std::fs::read_to_string(fixture.env.path("m.jsonl")).unwrap();
    for (what, line) in corrupted_manifests(&m) {
        std::fs::write(fixture.env.path("spoilt.jsonl"), what).unwrap();
        fixture
            .verify(&["--against", "spoilt.jsonl"])
            .assert_incomplete()
            .assert_prints(&line);
    }
    // A copy of the archive also matches the manifest, also in the other database.
    fixture
        .env
        .run(&["copy", "--to", "sqlite://copy.db"])
        .assert_ok();
    let fixture = VerifyFixture {
        env: fixture.env.with_database("sqlite://copy.db"),
        ..fixture
    };
    fixture
        .verify(&["--against", "m.jsonl"])
        .assert_ok()
        .assert_prints("The archive is intact");
}

/// Returns changed manifests with the expected error of each.
fn corrupted_manifests(manifest: &str) -> Vec<(String, String)> {
    let lines: Vec<String> = manifest.lines().map(str::to_owned).collect();
    let last = lines.len() - 1;
    let at = |line: usize| format!("spoilt.jsonl:{line}: ");
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.join("\n") + "\n"
    };
    let more = lines[3].replacen("\"messages\":", "\"messages\":1", 1);
    let (signature, other) = (
        lines[last].rsplit_once(":\"").unwrap().1,
        "0".repeat(128) + "\"}",
    );
    vec![
        (with(&|lines| lines[3].clone_from(&more)), at(4)),
        (with(&|lines| drop(lines.remove(3))), at(4)),
        (with(&|lines| lines.swap(3, 4)), at(4)),
        (with(&|lines| lines.insert(3, lines[5].clone())), at(4)),
        (with(&|lines| drop(lines.remove(last - 1))), at(last)),
        (with(&|lines| lines.truncate(last)), at(last + 1)),
        (with(&|lines| lines.push("{}".into())), at(last + 2)),
        (with(&|lines| lines[2] = "hello".into()), at(3)),
        (
            manifest.replace(signature, &other),
            "the signature is not that of".to_owned(),
        ),
        (String::new(), at(1)),
    ]
}
