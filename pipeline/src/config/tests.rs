//! The configuration from outside: what a file and variables give, and the sentence for each kind of mistake.

use std::path::Path;

use super::testing::Folder;
use operators::dataflow::intelligence::settings::ModelSettings;

use super::{Config, ConfigError, DEFAULTS, Role, SourceKind, StoreUrl};

/// One of every kind of key, secrets too.
const WHOLE_FILE: &str = r#"
name = "north"
data_dir = "/var/lib/dealerflow"
source.kind = "embedded"
[kafka]
brokers = "kafka-1:9092, kafka-2:9092"
topic_prefix = "north."
[kafka.client]
"security.protocol" = "SASL_SSL"
sasl.username = "north"
"sasl.password" = "hunter2"
"sasl.jaas.config" = "hunter2"
"SSL.Key.Pem" = "hunter2"
[pipeline]
workers = 8
tick = "90m"
commit_bytes_max = "1MB"
[checkpoint]
url = "s3://bucket/checkpoints/"
client.endpoint = "http://store:9000"
client.secret_access_key = "hunter2"
[http]
listen = "0.0.0.0:80"
[[security.token]]
token_file = "/run/secrets/manager"
role = "admin"
dealers = ["*"]
[[security.token]]
token_file = "/run/secrets/analyst"
role = "viewer"
dealers = ["d-0001", "d-0002"]
[models.whaco]
mode = "seed"
[models.oscillators]
enabled = false
strength = 1
"#;

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = Folder::new();
    Config::load(Some(&folder.write("dealerflow.toml", file)), &environment(variables))
}

/// Checks the whole report; the file is called `F` in it.
fn check_problems(file: &str, variables: &[(&str, &str)], expect: &[&str]) {
    let folder = Folder::new();
    let path = folder.write("dealerflow.toml", file);
    let report = Config::load(Some(&path), &environment(variables)).unwrap_err().to_string();
    let report = report.replace(&path.display().to_string(), "F");
    assert_eq!(report.lines().collect::<Vec<_>>(), expect);
}

fn check_problem(file: &str, expect: &str) {
    check_problems(file, &[], &[expect]);
}

fn check_variable_problem(variable: (&str, &str), expect: &str) {
    check_problems("", &[variable], &[expect]);
}

#[test]
fn defaults_are_whole_and_keep_every_rule() {
    assert_eq!(Config::load(None, &[]).unwrap(), Config::default());
    // As a file of the user's, every key of the defaults is a known one with a permitted value.
    assert_eq!(load(DEFAULTS, &[]).unwrap(), Config::default());
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!((config.name.as_str(), config.source.kind), ("dealerflow", SourceKind::Kafka));
    assert_eq!(config.data_dir, Path::new("./dealerflow-data"));
    assert_eq!((config.kafka.brokers.to_string().as_str(), config.kafka.topic_prefix.as_str()), ("127.0.0.1:9092", ""));
    assert_eq!(
        (config.pipeline.workers, config.pipeline.dedup_keys_max, config.replay.epoch_records),
        (2, 250_000_000, 4000)
    );
    assert_eq!((config.tick_ms(), config.retention_ms(), config.dedup_horizon_ms()), (50, 34_560_000_000, 604_800_000));
    assert_eq!((config.max_future_ms(), config.idle_after_ms(), config.timer_grace_ms()), (300_000, 30_000, 5_000));
    assert_eq!((config.checkpoint_interval_ms(), config.parquet_interval_ms()), (60_000, 60_000));
    assert_eq!((config.memory_limit_bytes(), config.replay_buffer_bytes()), (4 << 30, 256 << 20));
    assert_eq!(config.commit_bytes_max(), 16 << 20);
    assert_eq!(
        (config.http.listen.to_string(), config.sql.listen.to_string()),
        ("127.0.0.1:8080".into(), "127.0.0.1:5433".into())
    );
    assert_eq!(config.checkpoint.url, StoreUrl::Folder("./dealerflow-data/checkpoints".into()));
}

#[test]
fn the_effective_configuration_is_golden_and_masks_secrets() {
    let config = load(WHOLE_FILE, &[]).unwrap();
    assert_eq!(config.effective_toml(), include_str!("effective.golden.toml"));
    assert!(!format!("{config:?}").contains("hunter2"));
    let passed: Vec<_> = config.kafka.client.iter().filter(|(key, _)| *key == "sasl.password").collect();
    assert_eq!(passed, [("sasl.password", "hunter2")]);
}

#[test]
fn the_effective_configuration_reads_back() {
    let config = load(
        "[models.whaco]\nflag_rate = 0.05\n[kafka.client]\ndebug = \"all\"",
        &[("DEALERFLOW_HTTP__LISTEN", "[::1]:1")],
    )
    .unwrap();
    assert_eq!(load(&config.effective_toml(), &[]).unwrap(), config);
}

#[test]
fn stores_follow_data_dir_unless_set() {
    let config = load("data_dir = \"/srv/d\"\n[parquet]\nurl = \"file:/srv/p\"", &[]).unwrap();
    assert_eq!(config.checkpoint.url, StoreUrl::Folder("/srv/d/checkpoints".into()));
    assert_eq!(config.parquet.url, StoreUrl::Folder("/srv/p".into()));
}

#[test]
fn variables_stand_over_the_file() {
    let variables = [
        ("DEALERFLOW_NAME", "42"),
        ("DEALERFLOW_KAFKA__BROKERS", "kafka-3:9092"),
        ("DEALERFLOW_KAFKA__CLIENT__SASL_PASSWORD", "swordfish"),
        ("DEALERFLOW_KAFKA__CLIENT__LOG__LEVEL", "7"),
        ("DEALERFLOW_PIPELINE__WORKERS", "16"),
        ("DEALERFLOW_MODELS__WHACO__FLAG_RATE", "0.25"),
        ("DEALERFLOW_MODELS__OSCILLATORS__ENABLED", "true"),
        ("HOME", "/root"),
    ];
    let config = load(WHOLE_FILE, &variables).unwrap();
    assert_eq!((config.name.as_str(), config.pipeline.workers), ("42", 16));
    assert_eq!(config.kafka.brokers.to_string(), "kafka-3:9092");
    let client: Vec<_> = config.kafka.client.iter().collect();
    assert!(client.contains(&("sasl.password", "swordfish")) && client.contains(&("log_level", "7")), "{client:?}");
    let models = toml::Value::try_from(&config.models).unwrap();
    assert_eq!(models["whaco"]["flag_rate"].as_float(), Some(0.25));
    assert_eq!(models["whaco"]["mode"].as_str(), Some("seed"));
    assert_eq!(models["oscillators"]["enabled"].as_bool(), Some(true));
    assert_eq!(models["oscillators"]["strength"].as_float(), Some(1.0));
}

#[test]
fn all_problems_are_told_at_once() {
    check_problems(
        "nam = \"x\"\n[pipeline]\nworkers = 0\ntick = 50\n[parquet]\nurl = \"ftp://x\"",
        &[("DEALERFLOW_SOURCE__KIND", "files")],
        &[
            "variable DEALERFLOW_SOURCE__KIND: `source.kind` is \"files\", which is no kind of source: it must be \"kafka\" or \"embedded\"",
            "F: `pipeline.tick` is 50, a bare whole number: it must be a duration such as \"50ms\", \"30s\" or \"1h30m\", at most \"36500d\"",
            "F: `parquet.url` is \"ftp://x\", which begins with neither file: nor s3://: it must be a folder such as \"file:./data\" or a bucket such as \"s3://bucket/prefix\"",
            "F: `nam` is not a known key: did you mean `name`?",
            "F: `pipeline.workers` is 0: it must be a whole number from 1 to 1024",
        ],
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    check_problem(
        "[pipeline]\nwrokers = 2",
        "F: `pipeline.wrokers` is not a known key: did you mean `pipeline.workers`?",
    );
    check_problem(
        "[pipelin]\nworkers = 2",
        "F: `pipelin.workers` is not a known key: did you mean `pipeline.workers`?",
    );
    check_problem("workers = 2", "F: `workers` is not a known key: did you mean `pipeline.workers`?");
    check_problem("[archive]\ntls = true", "F: `archive.tls` is not a known key: remove it, or use one of `retention`");
    check_problem(
        "[zzz]\ny = 1",
        "F: `zzz.y` is not a known key: remove it, or use one of `name`, `data_dir`, `source`, `kafka`, `pipeline`, `replay`, \
         `checkpoint`, `parquet`, `archive`, `http`, `sql`, `security`, `models`",
    );
    check_variable_problem(
        ("DEALERFLOW_KAFKA_BROKERS", "a:1"),
        "variable DEALERFLOW_KAFKA_BROKERS: `kafka_brokers` is not a known key: did you mean `DEALERFLOW_KAFKA__BROKERS`?",
    );
}

#[test]
fn tables_and_values_are_not_confused() {
    check_problem("kafka = \"a:1\"", "F: `kafka` is a table, not a value: set the keys inside it, under [kafka]");
    check_problem(
        "[pipeline.tick]\nms = 50",
        "F: `pipeline.tick.ms` lies inside a key that is no table: set `pipeline.tick` itself",
    );
    check_problem(
        "models.whaco = 5",
        "F: `models.whaco` is a table, not a value: set the keys inside it, under [models.whaco]",
    );
    check_variable_problem(
        ("DEALERFLOW_MODELS__WHACO__MODE__MAX", "6"),
        "variable DEALERFLOW_MODELS__WHACO__MODE__MAX: `models.whaco.mode.max` lies inside a key that is no table: set \
         `DEALERFLOW_MODELS__WHACO__MODE` itself",
    );
}

#[test]
fn models_are_told_within_bounds() {
    check_problem(
        "[models.whaco]\nflagrate = 0.02",
        "F: `models.whaco.flagrate` is not a known key: did you mean `models.whaco.flag_rate`?",
    );
    check_problem(
        "[models.whaco]\nenabled = \"yes\"",
        "F: `models.whaco.enabled` is \"yes\", text in quotes: it must be true or false without quotes",
    );
    check_problem(
        "[models.whaco]\nflag_rate = 0.7",
        "F: `models.whaco.flag_rate` is 0.7: it must be a number from 0.000001 to 0.5",
    );
    check_problem(
        "[models.oscillators]\nstrength = -1",
        "F: `models.oscillators.strength` is -1, which is no number of at least 0: it must be a number such as 0.01 without quotes",
    );
    check_problem(
        "[models.assignment]\nlead_cap = 0",
        "F: `models.assignment.lead_cap` is 0: it must be a whole number from 1 to 10000",
    );
    check_problem(
        "[models.oscillators]\nreport_every = \"7m\"",
        "F: `models.oscillators.report_every` is \"7m\": it must be a whole multiple of five minutes",
    );
    let settings = load("[models.assignment]\nenabled = false", &[]).unwrap().models.settings(5);
    assert!(settings.assignment.is_none() && settings.whaco.is_some() && settings.timer_grace_ms == 5);
}

#[test]
fn the_defaults_of_the_models_are_those_of_their_definitions() {
    assert_eq!(Config::default().models.settings(0), ModelSettings::standard());
}

#[test]
fn wrong_types_say_what_was_found_and_what_is_permitted() {
    check_problem("name = 5", "F: `name` is 5, a bare whole number: it must be text in quotes");
    check_problem("data_dir = true", "F: `data_dir` is true, a bare true or false: it must be a path in quotes");
    check_problem("data_dir = \"\"", "F: `data_dir` is \"\", which names no path: it must be a path in quotes");
    check_problem(
        "[pipeline]\nworkers = \"2\"",
        "F: `pipeline.workers` is \"2\", text in quotes: it must be a whole number without quotes",
    );
    check_problem(
        "[pipeline]\nworkers = 1.5",
        "F: `pipeline.workers` is 1.5, a bare number with a fraction: it must be a whole number without quotes",
    );
    check_problem(
        "[pipeline]\nworkers = -1",
        "F: `pipeline.workers` is -1, which is not a whole number from 0 to 4294967295: it must be a whole number without quotes",
    );
    check_problem(
        "[kafka]\nbrokers = [\"a:1\"]",
        "F: `kafka.brokers` is a list: it must be HOST:PORT, several with commas, such as \"kafka-1:9092,kafka-2:9092\"",
    );
    check_problem(
        "[pipeline]\nmemory_limit = \"4GB of RAM\"",
        "F: `pipeline.memory_limit` is \"4GB of RAM\", which has the unknown unit \"GB of RAM\": it must be a size such as \"64KiB\", \"256MiB\" or \"4GiB\"",
    );
    check_problem(
        "[sql]\nlisten = \"localhost:5433\"",
        "F: `sql.listen` is \"localhost:5433\", which is not an IP address with a port: it must be an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
    );
    check_variable_problem(
        ("DEALERFLOW_PIPELINE__WORKERS", "two"),
        "variable DEALERFLOW_PIPELINE__WORKERS: `pipeline.workers` is \"two\", which is not a whole number from 0 to 4294967295: it must be a whole number without quotes",
    );
}

#[test]
fn secrets_are_not_repeated_in_problems() {
    check_problem(
        "[kafka.client]\nsasl.password = 1234",
        "F: `kafka.client.sasl.password` is a value not shown here, a bare whole number: it must be text in quotes",
    );
    let file = "[parquet]\nurl = \"s3://key:hunter2@bucket/x\"\n[[security.token]]\ntoken = \"hunter2\"";
    let report = load(file, &[]).unwrap_err().to_string();
    assert!(
        report.contains("`security.token[0].token` is not a known key: did you mean `security.token[0].token_file`?"),
        "{report}"
    );
    let syntax = load("name = \"x\"\n[kafka.client]\n\"sasl.password\" = hunter2", &[]).unwrap_err().to_string();
    assert!(syntax.contains("line 3, column 19"), "{syntax}");
    assert!(!report.contains("hunter2") && !syntax.contains("hunter2"), "{report}\n{syntax}");
}

#[test]
fn limits_and_times_hold() {
    check_problem(
        "[pipeline]\nworkers = 1025",
        "F: `pipeline.workers` is 1025: it must be a whole number from 1 to 1024",
    );
    check_problem("[pipeline]\ntick = \"0ms\"", "F: `pipeline.tick` is \"0s\": it must be at least \"1ms\"");
    check_problem(
        "[pipeline]\ndedup_horizon = \"0d\"",
        "F: `pipeline.dedup_horizon` is \"0s\": it must be at least \"1ms\"",
    );
    check_problem(
        "[pipeline]\nretention = \"6d\"",
        "F: `pipeline.retention` is \"6d\", shorter than pipeline.dedup_horizon, \"7d\": make it at least as long, or the horizon shorter",
    );
    check_variable_problem(
        ("DEALERFLOW_PIPELINE__DEDUP_HORIZON", "401d"),
        "variable DEALERFLOW_PIPELINE__DEDUP_HORIZON: `pipeline.retention` is \"400d\", shorter than pipeline.dedup_horizon, \"401d\": make it at least as long, or the horizon shorter",
    );
    check_problem(
        "[replay]\nepoch_records = 0",
        "F: `replay.epoch_records` is 0: it must be a whole number of at least 1",
    );
    check_problem(
        "[pipeline]\nmemory_limit = \"8MiB\"",
        "F: `pipeline.commit_bytes_max` is \"16MiB\", more than pipeline.memory_limit, \"8MiB\": make it smaller, or the memory limit larger",
    );
    check_problem(
        "name = \"a b\"",
        "F: `name` is \"a b\": it must be 1 to 128 letters, digits, dots, underscores and hyphens",
    );
}

#[test]
fn prior_leads_decide_what_dealers_begin_with_and_where_they_lie_does_not() {
    check_problem(
        "[models.whaco]\nmode = \"seed\"\nprior_leads = \"leads.csv\"",
        "F: `models.whaco.mode` is \"seed\": it must be \"calibrated\" where models.whaco.prior_leads is set: the seed form knows no beginning but its own",
    );
    check_problem(
        "[models.whaco]\nprior_worth = 0",
        "F: `models.whaco.prior_worth` is 0: it must be a whole number from 1 to 100000",
    );
    let folder = tempfile::tempdir().unwrap();
    let loaded = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        load(&format!("[models.whaco]\nprior_leads = {path:?}"), &[])
    };
    let many = "credit_score,engagement\n".to_owned() + &"640,0.5\n".repeat(300);
    let (one, same) = (loaded("a.csv", &many).unwrap(), loaded("b.csv", &many).unwrap());
    let other = loaded("c.csv", &many.replace("640", "641")).unwrap();
    let prints = [&one, &same, &other, &Config::default()].map(|config| config.models.fingerprint());
    assert!(prints[0] == prints[1] && prints[0] != prints[2] && prints[0] != prints[3], "{prints:?}");
    assert_eq!(one.prepared_models(0), same.prepared_models(0));
    assert_ne!(one.prepared_models(0), Config::default().prepared_models(0));
    let report = loaded("d.csv", "credit_score\nhigh\n").unwrap_err().to_string();
    assert!(
        report.contains("`models.whaco.prior_leads` is ")
            && report.contains("where credit_score is \"high\" in line 2: it must be a CSV"),
        "{report}"
    );
}

#[test]
fn the_edges_of_the_limits_are_permitted() {
    let file =
        "[pipeline]\nworkers = 1024\ntick = \"1ms\"\nretention = \"7d\"\ntimer_grace = \"0s\"\nmax_future = \"0s\"";
    assert_eq!(load(file, &[]).unwrap().retention_ms(), 604_800_000);
}

#[test]
fn without_tokens_only_loopback_is_bound() {
    for listen in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(load(&format!("http.listen = \"{listen}\""), &[]).is_ok(), "{listen}");
    }
    let open = "[http]\nlisten = \"0.0.0.0:80\"\n[sql]\nlisten = \"[::]:81\"";
    let fault =
        "which others can reach, and there is no token: listen on 127.0.0.1, or say who may call in [[security.token]]";
    let http = format!("F: `http.listen` is \"0.0.0.0:80\", {fault}");
    check_problems(open, &[], &[&http, &format!("F: `sql.listen` is \"[::]:81\", {fault}")]);
}

#[test]
fn listeners_and_stores_do_not_share() {
    check_problem(
        "sql.listen = \"127.0.0.1:8080\"",
        "F: `sql.listen` is \"127.0.0.1:8080\", the port that http.listen, \"127.0.0.1:8080\", takes already: give it another port",
    );
    assert!(load("sql.listen = \"127.0.0.1:0\"\nhttp.listen = \"127.0.0.1:0\"", &[]).is_ok());
    check_problem(
        "[parquet]\nurl = \"file:./dealerflow-data/checkpoints\"",
        "F: `parquet.url` is \"file:./dealerflow-data/checkpoints\", the place of checkpoint.url: give each a place of its own: both delete files there that they do not need any more",
    );
}

#[test]
fn tokens_are_read_and_their_mistakes_told() {
    let config = load(WHOLE_FILE, &[]).unwrap();
    let roles: Vec<_> = config.security.token.iter().map(|token| (token.role, token.dealers.len())).collect();
    assert_eq!(roles, [(Role::Admin, 1), (Role::Viewer, 2)]);
    check_problems(
        "[[security.token]]\nrole = \"boss\"\ndealers = [\"*\", \"d-1\"]\n[[security.token]]\ntoken_file = \"a\"\ndealers = [1]",
        &[],
        &[
            "F: `security.token[0].token_file` is missing: it must be a path in quotes",
            "F: `security.token[0].role` is \"boss\", which is no role: it must be \"viewer\", \"operator\" or \"admin\"",
            "F: `security.token[0].dealers` names \"*\" beside other dealers: it must be a list such as [\"d-0001\", \"d-0002\"], or [\"*\"] alone for all dealers",
            "F: `security.token[1].role` is missing: it must be \"viewer\", \"operator\" or \"admin\"",
            "F: `security.token[1].dealers` is not a list of texts: it must be a list such as [\"d-0001\", \"d-0002\"], or [\"*\"] alone for all dealers",
        ],
    );
    check_problem(
        "[security.token]\nrole = \"viewer\"",
        "F: `security.token.role` is not in a list of tokens: write each token in the file, as a table under [[security.token]] with two brackets",
    );
    let token = "[[security.token]]\ntoken_file = \"a\"\nrole = \"viewer\"\ndealers = [\"*\"]\n";
    let shared = "has the token_file of security.token[0]: give each token a file of its own";
    let expect = [format!("F: `security.token[1]` {shared}"), format!("F: `security.token[2]` {shared}")];
    check_problems(&token.repeat(3), &[], &[&expect[0], &expect[1]]);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let missing = Folder::new().path().join("none.toml");
    let error = Config::load(Some(&missing), &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("the configuration file {} cannot be read (", missing.display())), "{error}");
    let error = load("name = \"x\"\nname = \"y\"", &[]).unwrap_err().to_string();
    assert!(error.contains("line 2, column 1: this is not TOML (duplicate key"), "{error}");
}
