//! What is packed fits the program: configuration, unit, image and chart name only what exists. That the package installs and the
//! binary runs without privileges on a read-only root is tried by hand: `docs/operations.md` says how.

use crate::support::server::BINARY;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

fn deploy(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(file)
}

fn text(file: &str) -> String {
    fs::read_to_string(deploy(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_configuration_of_the_package_can_be_used() {
    let checked = Command::new(BINARY)
        .args(["config", "check"])
        .arg(deploy("debian/trunkline.toml"))
        .output();
    let checked = checked.expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(text("systemd/trunkline.service").contains("serve --config /etc/trunkline/trunkline.toml"));
}

#[test]
fn image_and_chart_set_only_variables_that_exist() {
    let printed = Command::new(BINARY)
        .args(["serve", "--print-config"])
        .output()
        .expect("the binary runs");
    let table: toml::Table = String::from_utf8(printed.stdout).expect("text").parse().expect("TOML");
    let mut known: BTreeSet<String> = ["TRUNKLINE_ADMIN_KEY_FILE".to_string()].into();
    for (key, value) in &table {
        match value.as_table() {
            Some(section) => known.extend(
                section
                    .keys()
                    .map(|inner| format!("TRUNKLINE_{key}_{inner}").to_uppercase()),
            ),
            None => drop(known.insert(format!("TRUNKLINE_{key}").to_uppercase())),
        }
    }
    for file in ["docker/Dockerfile", "helm/trunkline/templates/statefulset.yaml"] {
        // Comments may name what a person sets.
        let lines = text(file);
        let lines = lines.lines().filter(|line| !line.trim_start().starts_with('#'));
        let words = lines.flat_map(|line| line.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_'));
        let set: BTreeSet<&str> = words.filter(|word| word.starts_with("TRUNKLINE_")).collect();
        assert!(set.len() > 2, "{file}: {set:?}");
        for name in set {
            assert!(known.contains(name), "{file}: {name}");
        }
    }
}

#[test]
fn the_chart_uses_only_values_that_it_has() {
    let values: serde_json::Value = serde_saphyr::from_str(&text("helm/trunkline/values.yaml")).expect("YAML");
    let mut used = BTreeSet::new();
    for file in ["configmap.yaml", "service.yaml", "statefulset.yaml"] {
        let template = text(&format!("helm/trunkline/templates/{file}"));
        assert_eq!(template.matches("{{").count(), template.matches("}}").count(), "{file}");
        let opened = template.matches("{{- if").count() + template.matches("{{ if").count();
        let ended = template.matches("{{- end").count() + template.matches("{{ end").count();
        assert_eq!(opened, ended, "{file}");
        for piece in template.split(".Values.").skip(1) {
            let name = piece
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.')
                .next();
            used.extend(name.map(str::to_string));
        }
    }
    assert!(used.len() > 12, "{used:?}");
    for name in used {
        let pointer = format!("/{}", name.replace('.', "/"));
        assert!(values.pointer(&pointer).is_some(), "values.yaml has no {name}");
    }
}

/// The server takes a master key that its group alone may read (`fsGroup` makes 0440 of 0400), and none that others may.
#[test]
fn the_chart_mounts_secrets_for_nobody_else() {
    let template = text("helm/trunkline/templates/statefulset.yaml");
    let mounted = template.split("secretName:").skip(1);
    let modes: Vec<bool> = mounted
        .map(|after| {
            after
                .split("secret:")
                .next()
                .is_some_and(|it| it.contains("defaultMode: 0400"))
        })
        .collect();
    assert_eq!(modes, [true; 3], "every secret has its mode");
    assert!(template.contains("fsGroup: 65532"));
}
