//! `downspout migrate` as somebody runs it who comes from logspout: the same variables, the same
//! arguments, no Docker and no destination.

use super::support::agent::Launch;

#[test]
fn a_set_up_of_logspouts_is_told_without_asking_anybody() {
    let launch = || {
        Launch::new()
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("SYSLOG_FORMAT", "rfc3164")
            .env("SYSLOG_STRUCTURED_DATA", "s3cret@41058")
            .env("RETRY_COUNT", "20")
            .env("LOGSTASH_TAGS", "s3cret")
            .env("LOG_HOST", "logs.invalid")
            .arg("migrate")
            .arg("syslog+tcp://$LOG_HOST:514?filter.labels=team,multiline+raw+udp://logs.invalid:1")
    };
    let ended = launch().finish();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for said in [
        "SYSLOG_FORMAT=rfc3164\n  same: ",
        "RETRY_COUNT=20\n  no longer needed: ",
        "SYSLOG_STRUCTURED_DATA=(not shown)\n",
        "\nLOGSTASH_TAGS of logspout-logstash",
        "\nsyslog+tcp://logs.invalid:514\n  same: sends logspout's bytes",
        "differs: filter.labels: an item without a pattern",
        "\nmultiline+raw+udp://logs.invalid:1\n",
        "port 9514, where logspout has 80",
        "\ndocker run -d --name downspout",
    ] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("s3cret"), "{}", ended.stdout);
    let printed = launch().arg("--json").finish();
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!((&json["schema"], printed.code), (&1.into(), Some(0)));
    assert_eq!(json["routes"].as_array().unwrap().len(), 2);
    assert!(!printed.stdout.contains("s3cret"), "{}", printed.stdout);

    let refused = launch().env("SYSLOG_FORMAT", "rfc9999").env("MULTILINE_PATTERN", "a(b").finish();
    assert_eq!(refused.code, Some(2));
    assert!(refused.stdout.contains("\nSYSLOG_FORMAT=rfc9999\n"), "{}", refused.stdout);
    for problem in ["SYSLOG_FORMAT=rfc9999: expected rfc5424 or rfc3164", "MULTILINE_PATTERN=a(b"] {
        assert!(refused.stderr.contains(problem), "{}", refused.stderr);
    }
}
