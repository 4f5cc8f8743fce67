//! The forms of a result: exact, the same for both databases, and harmless to a terminal.

use super::query_env::QueryEnv;

on_every_database! {
    values_are_exact_in_every_form,
    messages_are_exact,
    empty_results_are_told_from_none,
    table_keeps_values_whole_and_lines_without_trailing_blanks,
    long_result_is_complete_in_every_form,
}

const SQLITE: &str = "SELECT 9223372036854775807 AS big, NULL AS none, '' AS empty,
    'a\"b,c' || char(10, 27, 8238) AS text, x'00ff' AS bytes, 0.1 AS real, -1e300 AS huge, 1 AS n, 2 AS n";
const POSTGRES: &str = "SELECT 9223372036854775807 AS big, NULL AS none, '' AS empty,
    E'a\"b,c\\n\\x1b\\u202E' AS text, '\\x00ff'::BYTEA AS bytes, 0.1::FLOAT8 AS real, -1e300::FLOAT8 AS huge,
    1 AS n, 2 AS n";

fn values_are_exact_in_every_form(env: &QueryEnv) {
    let query = env.pick(SQLITE, POSTGRES);
    let huge = env.pick("-1e300", "-1e+300");
    let object = format!(
        r#"{{"big":9223372036854775807,"none":null,"empty":"","text":"a\"b,c\n\u001b\u202e","bytes":"AP8=","real":0.1,"huge":{huge},"n":1,"n_2":2}}"#
    );
    assert_eq!(env.result("jsonl", query), format!("{object}\n"));
    assert_eq!(env.result("json", query), format!("[\n{object}\n]\n"));
    let csv = format!(
        "big,none,empty,text,bytes,real,huge,n,n\n\
         9223372036854775807,,\"\",\"a\"\"b,c\n\u{1b}\u{202e}\",AP8=,0.1,{huge},1,2\n"
    );
    assert_eq!(env.result("csv", query), csv);
    let table = env.result("table", query);
    let lines: Vec<&str> = table.lines().collect();
    let columns: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(
        columns,
        [
            "9223372036854775807",
            "NULL",
            "a\"b,c\\n\\u001b\\u202e",
            "AP8=",
            "0.1",
            huge,
            "1",
            "2"
        ],
        "{table}"
    );
    assert_eq!(lines.len(), 3, "{table}");
}

fn messages_are_exact(env: &QueryEnv) {
    let query = "SELECT sent_at, sender, body, payload, status FROM archive ORDER BY sent_at_ms";
    let expected = concat!(
        r#"{"sent_at":"1970-01-01T00:00:01.500Z","sender":"alice","body":"first","payload":"Zmlyc3Q=","status":null}"#,
        "\n",
        r#"{"sent_at":"1970-01-01T00:00:02.500Z","sender":"alice","body":"second, \"quoted\"\n\u001b[31m","payload":"c2Vjb25kLCAicXVvdGVkIgobWzMxbQ==","status":null}"#,
        "\n",
        r#"{"sent_at":"1970-01-01T00:00:03.500Z","sender":"alice","body":"消息�","payload":"5raI5oGvAA==","status":null}"#,
        "\n",
    )
    .replace("\\ufffd", "\u{fffd}");
    assert_eq!(env.result("jsonl", query), expected);
}

fn empty_results_are_told_from_none(env: &QueryEnv) {
    let query = "SELECT sender, body FROM archive WHERE id < 0";
    assert_eq!(env.result("json", query), "[]\n");
    assert_eq!(env.result("jsonl", query), "");
    assert_eq!(env.result("csv", query), "sender,body\n");
    assert_eq!(env.result("table", query), "sender  body\n------  ----\n");
}

fn table_keeps_values_whole_and_lines_without_trailing_blanks(env: &QueryEnv) {
    let long = "x".repeat(300);
    let query = format!(
        "SELECT '{long}' AS a, 5 AS number, 'y' AS b UNION ALL SELECT 'x', 12345678, NULL ORDER BY 2"
    );
    let table = env.result("table", &query);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[2], format!("{long}         5  y"), "{table}");
    assert_eq!(
        lines[3],
        format!("x{}  12345678  NULL", " ".repeat(59)),
        "{table}"
    );
    assert!(lines.iter().all(|line| line.trim_end() == *line), "{table}");
}

fn long_result_is_complete_in_every_form(env: &QueryEnv) {
    const ROWS: usize = 30_000;
    let query = format!(
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"
    );
    for (form, around) in [("table", 2), ("csv", 1), ("json", 2), ("jsonl", 0)] {
        let result = env.result(form, &query);
        assert_eq!(result.lines().count(), ROWS + around, "{form}");
        let last = result.lines().rfind(|line| *line != "]").unwrap();
        assert!(last.contains("30000"), "{form}: {last}");
    }
}

#[test]
fn postgres_types_keep_the_digits_and_spelling_of_the_server() {
    let env = QueryEnv::in_postgres();
    let query = "SELECT 12345678901234567890.123456789012345678901234567890 AS exact, 'NaN'::NUMERIC AS no_number,
        '-Infinity'::FLOAT8 AS endless, TRUE AS yes, '{\"b\" : 1,\n \"a\":[1.10]}'::JSON AS json, '{\"b\":1}'::JSONB AS jsonb,
        ARRAY['a','b'] AS list, INTERVAL '1 day 2 hours' AS span, '2026-11-21 08:00:00.25+02'::TIMESTAMPTZ AS at,
        DATE '2026-11-21' AS day, 'infinity'::TIMESTAMPTZ AS never, 5::SMALLINT AS small, '(1,2)'::POINT AS point";
    let expected = concat!(
        r#"{"exact":12345678901234567890.123456789012345678901234567890,"no_number":"NaN","#,
        r#""endless":"-Infinity","yes":true,"json":{"b" : 1,  "a":[1.10]},"jsonb":{"b": 1},"list":"{a,b}","#,
        r#""span":"1 day 02:00:00","at":"2026-11-21T06:00:00.250Z","day":"2026-11-21","never":"infinity","#,
        r#""small":5,"point":"(1,2)"}"#,
        "\n"
    );
    assert_eq!(env.result("jsonl", query), expected);
}

#[test]
fn sqlite_values_keep_their_bytes() {
    let env = QueryEnv::in_sqlite();
    let query = "SELECT 'a' || char(0) || 'b' AS text, CAST(x'61ff' AS TEXT) AS broken, 9e999 AS endless, 1.0 AS real,
        json('[1]') AS json";
    let expected =
        r#"{"text":"a\u0000b","broken":"Yf8=","endless":"Infinity","real":1.0,"json":"[1]"}"#;
    assert_eq!(env.result("jsonl", query), format!("{expected}\n"));
    assert_eq!(
        env.result("csv", query),
        "text,broken,endless,real,json\na\0b,Yf8=,Infinity,1.0,[1]\n"
    );
}
