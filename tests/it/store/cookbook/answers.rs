//! The answers to the questions of the cookbook, as comma-separated values.

/// The title of each question, and its answer in both databases, behind a line break.
pub(super) const ANSWERS: [(&str, &str); 35] = [
    (
        "The latest messages of a conversation",
        r#"
sent_at,sender,body
2026-03-05T08:00:00.000Z,erin,今天的消息 in the lobby
2026-03-02T15:00:00.000Z,dave,Sent from a train
2026-03-02T14:00:00.000Z,carol,"{""type"":""order"",""id"":7,""price"":12.5}"
2026-03-02T14:00:00.000Z,carol,"{""type"":""order"",""id"":7,""price"":12.5}"
2026-03-02T09:05:00.000Z,bob,"Good morning, alice"
2026-03-02T09:00:00.000Z,alice,Good morning
"#,
    ),
    (
        "The messages around a moment",
        r#"
sent_at,sender,body
2026-03-02T09:00:00.000Z,alice,Good morning
2026-03-02T09:05:00.000Z,bob,"Good morning, alice"
2026-03-02T14:00:00.000Z,carol,"{""type"":""order"",""id"":7,""price"":12.5}"
2026-03-02T14:00:00.000Z,carol,"{""type"":""order"",""id"":7,""price"":12.5}"
2026-03-02T15:00:00.000Z,dave,Sent from a train
"#,
    ),
    (
        "One person's messages, in all accounts and conversations",
        "
sent_at,account,conversation,body
2026-03-02T10:10:00.000Z,shop,alice/bob,Thanks
2026-03-02T10:00:00.000Z,shop,alice/bob,Is the order ready?
2026-03-02T09:00:00.000Z,shop,lobby,Good morning
",
    ),
    (
        "The first and the last message of a conversation",
        "
which,sent_at,sender,body
first,2026-03-02T09:00:00.000Z,alice,Good morning
last,2026-03-05T08:00:00.000Z,erin,今天的消息 in the lobby
",
    ),
    (
        "A field of JSON payloads",
        "
sent_at,sender,order_id,price
2026-03-02T14:00:00.000Z,carol,7,12.5
2026-03-02T14:00:00.000Z,carol,7,12.5
",
    ),
    (
        "Times in another time zone",
        "
in_berlin,sender
2026-03-02 10:00,alice
2026-03-02 10:05,bob
",
    ),
    (
        "Messages with a word",
        r#"
sent_at,conversation,sender,body
2026-03-02T09:05:00.000Z,lobby,bob,"Good morning, alice"
2026-03-02T09:00:00.000Z,lobby,alice,Good morning
"#,
    ),
    (
        "Messages with a phrase",
        "
sent_at,conversation,sender,body
2026-03-02T10:00:00.000Z,alice/bob,alice,Is the order ready?
",
    ),
    (
        "Messages with a Chinese word",
        "
sent_at,conversation,sender,body
2026-03-05T08:00:00.000Z,lobby,erin,今天的消息 in the lobby
",
    ),
    (
        "Who talks to whom",
        "
sender,recipient,messages
bob,alice,3
alice,bob,2
",
    ),
    (
        "The most active senders of a conversation",
        "
sender,messages
carol,2
alice,1
bob,1
dave,1
erin,1
",
    ),
    (
        "Response times between two peers",
        "
sender,responses,fastest_s,slowest_s
alice,1,470,470
bob,2,30,120
",
    ),
    (
        "Conversations that have been silent for 30 days",
        "
account,conversation,last_at
shop,lobby,2026-03-05T08:00:00.000Z
shop,alice/bob,2026-03-02T10:10:30.000Z
",
    ),
    (
        "New conversations of this week",
        "
account,conversation,conversation_kind,participants
chat,group:new,group,1
",
    ),
    (
        "Messages that are unread for more than a day",
        "
account,conversation,sender,status,body
chat,group:team,frank,received,Has anybody read this?
",
    ),
    (
        "How long delivery and reading take",
        "
status,messages,mean_s,longest_s
delivered,1,5,5
read,2,1200,1800
",
    ),
    (
        "Messages a day, with the days that nobody knows",
        "
day,messages,state
2026-03-02,5,complete
2026-03-03,0,complete
2026-03-04,,unknown
2026-03-05,1,complete
",
    ),
    (
        "The busiest hours of the day",
        "
hour,messages
09:00,5
10:00,5
14:00,2
",
    ),
    (
        "Sizes of payloads",
        "
account,conversation,messages,bytes,largest
shop,lobby,6,148,36
shop,alice/bob,5,65,19
chat,group:team,3,21,13
",
    ),
    (
        "Percentiles of the length of a message",
        "
median,p90,longest
15,36,36
",
    ),
    (
        "Exact duplicates",
        r#"
account,conversation,sender,body,times
shop,lobby,carol,"{""type"":""order"",""id"":7,""price"":12.5}",2
"#,
    ),
    (
        "Archived today",
        "
account,conversation,messages
chat,group:new,1
chat,group:team,1
",
    ),
    (
        "Late arrivals",
        "
sent_at,archived_at,conversation,sender,body
2026-03-02T15:00:00.000Z,2026-03-05T12:00:00.000Z,lobby,dave,Sent from a train
",
    ),
    (
        "The end, for a program that continues where it stopped",
        "
id
16
",
    ),
    (
        "The messages since the last time",
        r#"
id,sent_at,account,conversation,sender,body
1,2026-03-02T09:00:00.000Z,shop,lobby,alice,Good morning
2,2026-03-02T09:05:00.000Z,shop,lobby,bob,"Good morning, alice"
"#,
    ),
    (
        "Is a day complete?",
        "
answer
complete
",
    ),
    (
        "The ranges in which a conversation is complete",
        "
from_at,to_at
2026-03-02T00:00:00.000Z,2026-03-04T00:00:00.000Z
2026-03-05T00:00:00.000Z,2026-03-06T00:00:00.000Z
",
    ),
    (
        "The days of a conversation, and whether there may be more",
        "
day,messages,state
2026-03-02,5,complete
2026-03-05,1,complete
",
    ),
    (
        "Conversations of which the archive may have a part only",
        "
account,conversation,messages
chat,group:team,4
chat,group:new,1
",
    ),
    (
        "The streams for which a day is not complete",
        "
account,stream,complete_to
chat,topic=group:team,2026-03-06T00:00:00.000Z
shop,destination=alice,2026-03-04T00:00:00.000Z
shop,destination=bob,2026-03-04T00:00:00.000Z
",
    ),
    (
        "Lost and suspect ranges",
        "
account,stream,from_at,to_at,reason
chat,topic=group:team,2026-03-05T00:00:00.000Z,2026-03-06T00:00:00.000Z,two counts differ
shop,destination=alice,2026-02-27T00:00:00.000Z,2026-03-01T00:00:00.000Z,behind the provider's retention edge before it was fetched
shop,destination=bob,2026-02-27T00:00:00.000Z,2026-03-01T00:00:00.000Z,behind the provider's retention edge before it was fetched
shop,destination=lobby,2026-02-27T00:00:00.000Z,2026-03-01T00:00:00.000Z,behind the provider's retention edge before it was fetched
",
    ),
    (
        "What will be lost next",
        "
account,stream,from_at,to_at,expires_at,reason
shop,destination=alice,2026-03-01T00:00:00.000Z,2026-03-02T00:00:00.000Z,2026-03-06T00:00:00.000Z,not fetched yet
shop,destination=bob,2026-03-01T00:00:00.000Z,2026-03-02T00:00:00.000Z,2026-03-06T00:00:00.000Z,not fetched yet
shop,destination=lobby,2026-03-01T00:00:00.000Z,2026-03-02T00:00:00.000Z,2026-03-06T00:00:00.000Z,not fetched yet
",
    ),
    (
        "Cost and result of a day",
        "
account,passes,requests,new,changed,errors
shop,2,13,5,0,0
",
    ),
    (
        "Messages that could not be parsed",
        r#"
account,stream,reason,messages,example
shop,destination=lobby,`src` is not a text,1,"{""src"":5}"
"#,
    ),
    (
        "Active alarms, the oldest first",
        "
account,stream,kind,since,text,hint
shop,destination=lobby,lost,2026-03-06T01:00:00.000Z,two days are lost,fetch more often
",
    ),
];
