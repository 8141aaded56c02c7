use super::*;

#[test]
fn names_follow_the_scheme() {
    let metrics = Metrics::default();
    for Declaration { name, kind, help, labels } in metrics.declarations() {
        assert!(name.starts_with("dealerflow_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(help.ends_with('.'), "{name}");
        for label in *labels {
            assert!(!["dealer", "lead", "customer", "rep", "id"].contains(label), "{name} has a label without bound");
        }
    }
}
