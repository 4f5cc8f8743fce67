//! The transcript: one page for each conversation and day.

use std::path::PathBuf;

use backscroll::domain::message::{Conversation, ConversationKind};

use crate::support::export_files::{files_with_ending, rows_of_json};
use crate::support::verify_fixture::VerifyFixture;

on_every_database! {
    every_message_is_on_the_page_of_its_conversation_and_day,
    index_lists_every_page_with_its_messages_and_gaps,
    gaps_are_drawn_and_texts_are_escaped,
}

/// The number of messages on a page.
fn messages_on(page: &str) -> usize {
    page.matches("<li id=\"m").count()
}

/// The pages of conversations in an export.
fn pages_of(fixture: &VerifyFixture, folder: &str) -> Vec<PathBuf> {
    let mut pages = files_with_ending(&fixture.env.path(folder), ".html");
    pages.retain(|path| !path.ends_with("index.html"));
    pages
}

fn index_lists_every_page_with_its_messages_and_gaps(fixture: &VerifyFixture) {
    let mut hostile = fixture.forged();
    hostile.conversation = Conversation::named(ConversationKind::Channel, "<b>&\"\u{202e}");
    fixture.insert_forged(hostile);
    fixture.export("html", "out", &[]).assert_ok();
    let folder = fixture.env.path("out");
    let index = || std::fs::read_to_string(folder.join("index.html")).unwrap();
    let assert_exact = |index: &str| {
        let pages = pages_of(fixture, "out");
        assert_eq!(index.matches("<a href=").count(), pages.len());
        for path in pages {
            let page = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&folder).unwrap().to_str().unwrap();
            let link = format!("<a href=\"{}\">", path.replace('%', "%25"));
            let (_, row) = index.split_once(&link).expect(path);
            let row = row.split_once("</tr>").unwrap().0;
            let messages = format!("<td class=\"number\">{}</td>", messages_on(&page));
            assert!(row.contains(&messages), "{path}: {row}");
            let gaps = page.matches("<aside").count();
            assert_eq!(row.contains("may lack messages"), gaps > 0, "{path}: {row}");
        }
    };
    let before = index();
    assert_exact(&before);
    assert!(before.contains("&lt;b&gt;&amp;"), "{before}");
    assert!(
        !before.contains("<b>") && !before.contains('\u{202e}'),
        "{before}"
    );
    // A gap that arises, and one that is filled, are drawn, although no message has changed.
    let day = fixture.forged().sent_at.second();
    let (from, to) = (day.0 - 3600, day.0);
    let gap = format!("from_s < {to} AND to_s > {from}");
    fixture.execute_sql(&format!(
        "CREATE TABLE aside_rows AS SELECT * FROM sealed_window WHERE {gap}"
    ));
    fixture.execute_sql(&format!("DELETE FROM sealed_window WHERE {gap}"));
    let output = fixture.export("html", "out", &[]).assert_ok();
    assert!(!output.stdout.contains(" 0 days written"), "{output:#?}");
    let with_gap = index();
    assert_exact(&with_gap);
    let count = |index: &str| index.matches("may lack messages").count();
    assert!(count(&with_gap) > count(&before));
    fixture.execute_sql("INSERT INTO sealed_window SELECT * FROM aside_rows");
    fixture.execute_sql("DROP TABLE aside_rows");
    fixture.export("html", "out", &[]).assert_ok();
    assert_exact(&index());
    assert_eq!(count(&index()), count(&before));
    fixture.check_export("out").assert_ok();
    // An index that was changed is found, and written again.
    std::fs::write(folder.join("index.html"), before + " ").unwrap();
    let check = fixture.check_export("out").assert_incomplete();
    check.assert_prints("index.html: altered");
    fixture.export("html", "out", &[]).assert_ok();
    fixture.check_export("out").assert_ok();
}

fn every_message_is_on_the_page_of_its_conversation_and_day(fixture: &VerifyFixture) {
    fixture.export("html", "out", &[]).assert_ok();
    fixture.check_export("out").assert_ok();
    let rows = rows_of_json(&fixture.export("jsonl", "-", &[]).assert_ok().stdout);
    let pages = pages_of(fixture, "out");
    let pages: Vec<String> = pages
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let messages: usize = pages.iter().map(|page| messages_on(page)).sum();
    assert_eq!(messages, rows.len());
    for row in &rows {
        let text = |column: &str| row[column].as_str().unwrap();
        let (id, day) = (
            format!("<li id=\"m{}\">", row["id"]),
            &text("sent_at")[..10],
        );
        let page = pages.iter().find(|page| page.contains(&id)).unwrap();
        assert!(page.contains(&format!("datetime=\"{}\"", text("sent_at"))));
        let title = format!("{} · {day}</title>", text("conversation"));
        assert!(page.contains(&title), "{title}");
    }
    for page in &pages {
        assert!(page.starts_with("<!DOCTYPE html>"));
        assert!(page.ends_with("</body></html>\n"));
        assert!(page.contains("default-src 'none'"));
        for foreign in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        for look in ["prefers-color-scheme:dark", "@media print"] {
            assert!(page.contains(look), "{look}");
        }
    }
    // Nothing has changed.
    fixture
        .export("html", "out", &[])
        .assert_ok()
        .assert_prints("0 days written");
}

fn gaps_are_drawn_and_texts_are_escaped(fixture: &VerifyFixture) {
    let mut message = fixture.forged();
    message.payload.bytes = b"<script>alert('&')</script>\n\x01".to_vec();
    let sent_at = message.sent_at;
    let recipient = message.recipient.clone();
    fixture.insert_forged(message);
    // The hour before the message is not sealed any more.
    let (from, to) = (sent_at.second().0 - 3600, sent_at.second().0);
    fixture.execute_sql(&format!(
        "DELETE FROM sealed_window WHERE from_s < {to} AND to_s > {from}"
    ));
    let conversation = recipient.as_str();
    fixture
        .export("html", "out", &["--conversation", conversation])
        .assert_ok();
    let day = sent_at.to_string()[..10].to_owned();
    let pages = files_with_ending(
        &fixture
            .env
            .path("out/provider=agora")
            .join(format!("day={day}")),
        ".html",
    );
    let [page] = &pages[..] else {
        panic!("{pages:?}");
    };
    let page = std::fs::read_to_string(page).unwrap();
    let escaped = "&lt;script&gt;alert('&amp;')&lt;/script&gt;\n\u{FFFD}</p>";
    let message = page.find(escaped).expect(&page);
    let gap = page.find("<aside class=\"gap\"").expect(&page);
    assert!(gap < message, "{page}");
    assert!(page.contains("not fetched yet"), "{page}");
}
