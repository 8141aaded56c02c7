//! SUBSCRIBE: the rows that were told first, with the changes told since, are the answer at each epoch that is named.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::asking::Asking;
use crate::served::Served;

/// Rows, and how often each is there.
type Multiset = BTreeMap<String, i64>;

fn text_of(row: &Value) -> String {
    let mut row = row.as_object().unwrap().clone();
    row.remove("change");
    Value::Object(row).to_string()
}

fn apply(answer: &mut Multiset, told: &Value) {
    for row in told["rows"].as_array().unwrap() {
        let weight = match row["change"].as_str() {
            Some("insert") => 1,
            Some("delete") => -1,
            other => panic!("{other:?} in {row}"),
        };
        let count = answer.entry(text_of(row)).or_default();
        *count += weight;
        assert!(*count >= 0, "a row went that was not there: {row}");
    }
    answer.retain(|_, count| *count > 0);
}

struct Following {
    socket: WebSocket<TcpStream>,
}

impl Following {
    fn begin(served: &Served, query: &str, from_epoch: Option<i64>) -> Self {
        let stream = TcpStream::connect(&served.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let resume = from_epoch.map_or_else(String::new, |epoch| format!("&fromEpoch={epoch}"));
        let url = format!("ws://{}/api/subscribe/socket?query={}{resume}", served.http, query.replace(' ', "%20"));
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Following { socket }
    }

    /// Follows up to the next progress, and says its epoch and what the first message was called.
    fn advance(&mut self, answer: &mut Multiset) -> (i64, String) {
        let mut first = None;
        loop {
            // A follower that speaks is none the worse for it.
            self.socket.send(Message::Text("hello".into())).unwrap();
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let told: Value = serde_json::from_str(&text).unwrap();
            let event = told["event"].as_str().unwrap().to_owned();
            match event.as_str() {
                "snapshot" | "changes" => apply(answer, &told),
                "progress" => {
                    return (told["epoch"].as_i64().unwrap(), first.unwrap_or(event));
                }
                other => panic!("{other}: {text}"),
            }
            first.get_or_insert(event);
        }
    }
}

#[test]
fn what_a_follower_of_a_query_was_told_is_the_answer_at_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments =
        ["demo", "--events", "400000", "--dealers", "5", "--rate", "4000", "--data-dir", data.to_str().unwrap()];
    let served = Served::start(folder.path(), &arguments, &[]);
    served.wait_for_records(20_000);
    let local = Asking { served: &served, token: None };
    let whole = |query: &str, epoch: i64| {
        let rows = local.post("/api/sql", &json!({"sql": query, "asOf": epoch})).json();
        let mut answer = Multiset::new();
        for row in rows.as_array().unwrap() {
            *answer.entry(text_of(row)).or_default() += 1;
        }
        answer
    };
    for query in [
        "select dealer_id, stage, count(*) as deals, sum(front_gross_cents) as gross from deals group by dealer_id, stage",
        "select l.channel from leads l join reps r on l.dealer_id = r.dealer_id and l.assigned_rep_id = r.rep_id",
    ] {
        let mut answer = Multiset::new();
        let mut following = Following::begin(&served, query, None);
        let (first, event) = following.advance(&mut answer);
        assert_eq!((&answer, event.as_str()), (&whole(query, first), "snapshot"), "{query}");
        let mut last = first;
        for _ in 0..5 {
            let (epoch, _) = following.advance(&mut answer);
            assert!(epoch > last, "{epoch} after {last}");
            assert_eq!(answer, whole(query, epoch), "{query} at {epoch}");
            last = epoch;
        }
        assert!(!answer.is_empty(), "{query}");
        drop(following);
        // Whoever was away hears of what changed meanwhile and of nothing else.
        let mut resumed = Following::begin(&served, query, Some(last));
        let (epoch, event) = resumed.advance(&mut answer);
        assert!(event != "snapshot" && epoch >= last, "{event} at {epoch}");
        assert_eq!(answer, whole(query, epoch), "{query} resumed from {last}");
    }
    for (path, part) in [
        ("", "name either a table or a query"),
        ("?table=reps&query=select%201", "name either a table or a query"),
        ("?query=delete%20from%20reps", "read"),
        ("?query=select%20nothing", "nothing"),
        ("?query=select%201%20as%20change", "another name"),
        ("?query=select%201&fromEpoch=999999999999999", "future"),
    ] {
        let refused = local.get(&format!("/api/subscribe{path}"));
        assert!((400..500).contains(&refused.status), "{path}: {}", refused.status);
        assert!(refused.body.contains(part), "{path}: {}", refused.body);
    }
    assert_eq!(served.stderr().matches("panicked").count(), 0);
}
