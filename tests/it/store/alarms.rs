//! Alarms and active hours in the store.

use backscroll::domain::alarm::{Alarm, AlarmKind, AlarmSubject, Notified};
use backscroll::domain::message::{Conversation, ConversationKind, Message};
use backscroll::domain::stream::Scope;
use backscroll::domain::time::{Millis, Second};

use crate::support::store_fixture::{NOW, StoreFixture, message, scope, texts};

on_every_database! {
    ended_alarm_is_kept_for_a_while,
    older_record_does_not_clear_notified_events,
    loss_level_outlives_its_alarm,
    alarm_about_the_archive_has_no_account,
    active_hours_follow_the_messages_of_a_stream,
    sqlite_archive_reports_free_disk_space,
}

fn alarm(account: Option<&str>, stream: Option<&str>, kind: AlarmKind, since: i64) -> Alarm {
    Alarm {
        subject: AlarmSubject {
            account: account.map(str::to_owned),
            stream: stream.map(str::to_owned),
            kind,
        },
        since: Millis(since),
        until: None,
        text: "it is wrong".to_owned(),
        hint: "put it right".to_owned(),
        level: None,
        notified: Notified::Nothing,
    }
}

async fn ended_alarm_is_kept_for_a_while(fixture: StoreFixture) {
    let silent = alarm(
        Some("shop"),
        Some("destination=lobby"),
        AlarmKind::Silent,
        1000,
    );
    let parked = alarm(Some("shop"), None, AlarmKind::Parked, 2000);
    fixture.save_alarms(&[silent.clone(), parked.clone()]).await;
    assert_eq!(
        fixture.alarms(i64::MAX).await,
        [silent.clone(), parked.clone()]
    );
    let over = Alarm {
        until: Some(Millis(5000)),
        notified: Notified::All,
        text: "it was wrong".to_owned(),
        ..silent
    };
    fixture.save_alarms(std::slice::from_ref(&over)).await;
    assert_eq!(fixture.alarms(5001).await, std::slice::from_ref(&parked));
    assert_eq!(fixture.alarms(5000).await, [over, parked.clone()]);
    let view = "SELECT account, provider, stream, kind, since, until, text, hint FROM alarms ORDER BY since";
    assert_eq!(
        fixture.query_texts(view).await,
        [
            texts([
                "shop",
                "agora",
                "destination=lobby",
                "silent",
                "1000",
                "5000",
                "it was wrong",
                "put it right"
            ]),
            texts([
                "shop",
                "agora",
                "",
                "parked",
                "2000",
                "",
                "it is wrong",
                "put it right"
            ]),
        ]
    );
    fixture.store.save_alarms(&[], Millis(5001)).await.unwrap();
    assert_eq!(
        fixture.alarms(0).await,
        [parked],
        "active alarms are kept whatever their age"
    );
}

async fn older_record_does_not_clear_notified_events(fixture: StoreFixture) {
    let untold = alarm(Some("shop"), None, AlarmKind::Failing, 1000);
    let over = Alarm {
        until: Some(Millis(2000)),
        notified: Notified::Start,
        ..untold.clone()
    };
    fixture.save_alarms(std::slice::from_ref(&over)).await;
    assert_eq!(
        fixture.alarms(i64::MAX).await,
        std::slice::from_ref(&over),
        "its end is still to be notified"
    );
    fixture
        .save_alarms(&[Alarm {
            until: over.until,
            ..untold
        }])
        .await;
    assert_eq!(fixture.alarms(i64::MAX).await, [over]);
}

async fn loss_level_outlives_its_alarm(fixture: StoreFixture) {
    let lost = |since: i64, level| Alarm {
        until: Some(Millis(since + 1)),
        level: Some(level),
        notified: Notified::All,
        ..alarm(Some("shop"), None, AlarmKind::Lost, since)
    };
    fixture.save_alarms(&[lost(1000, 60), lost(2000, 90)]).await;
    fixture.store.save_alarms(&[], Millis(9000)).await.unwrap();
    assert_eq!(
        fixture.alarms(i64::MAX).await,
        [lost(2000, 90)],
        "the last of several"
    );
}

async fn alarm_about_the_archive_has_no_account(fixture: StoreFixture) {
    let disk = alarm(None, None, AlarmKind::Disk, 1000);
    fixture.save_alarms(std::slice::from_ref(&disk)).await;
    assert_eq!(fixture.alarms(0).await, [disk]);
    let view =
        "SELECT count(*) FROM alarms WHERE account IS NULL AND provider IS NULL AND stream IS NULL";
    assert_eq!(fixture.query_number(view).await, 1);
}

async fn active_hours_follow_the_messages_of_a_stream(fixture: StoreFixture) {
    const HOUR: i64 = 3_600_000;
    let at = |ms: i64| message(ms, &ms.to_string());
    let mut messages = vec![
        at(2 * HOUR),
        at(2 * HOUR + 1),
        at(3 * HOUR - 1),
        at(7 * HOUR),
        at(9 * HOUR),
    ];
    let elsewhere = |mut message: Message| {
        (message.sender, message.recipient) = ("bob".to_owned(), "room".to_owned());
        message.conversation = Conversation::named(ConversationKind::Channel, "room");
        message
    };
    messages.push(elsewhere(at(5 * HOUR)));
    fixture
        .store
        .commit(&[fixture.commit_of(0, 40_000, messages)], NOW)
        .await
        .unwrap();
    let hours = async |scope: &Scope, from: i64, to: i64| {
        fixture
            .store
            .active_hours("shop", scope, Second(from * 3600), Second(to * 3600))
            .await
            .unwrap()
    };
    let by_conversation = Scope {
        conversation: Some("lobby".to_owned()),
        ..Scope::default()
    };
    let by_both = Scope {
        recipient: Some("lobby".to_owned()),
        ..scope("source=alice")
    };
    for scope in [
        scope("destination=lobby"),
        scope("source=alice"),
        by_conversation,
        by_both,
    ] {
        assert_eq!(hours(&scope, 0, 100).await, [2, 7, 9], "{scope:?}");
        assert_eq!(hours(&scope, 2, 9).await, [2, 7], "{scope:?}");
        assert_eq!(hours(&scope, 3, 7).await, [0; 0], "{scope:?}");
    }
    assert_eq!(hours(&scope("destination=room"), 0, 100).await, [5]);
    let other = fixture
        .store
        .active_hours(
            "another",
            &scope("source=alice"),
            Second(0),
            Second(400_000),
        )
        .await
        .unwrap();
    assert_eq!(other, [0; 0], "messages of another account do not count");
}

async fn sqlite_archive_reports_free_disk_space(fixture: StoreFixture) {
    let room = fixture.store.disk_space().await;
    assert_eq!(
        room.is_some(),
        matches!(
            fixture.reader,
            crate::support::store_fixture::SqlReader::Sqlite(..)
        ),
        "only a local archive reports its disk"
    );
    assert!(
        room.is_none_or(|room| room.free_bytes > 0 && room.free_bytes <= room.total_bytes),
        "{room:?}"
    );
}
