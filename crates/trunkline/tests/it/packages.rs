//! What is packed fits the program: configuration, unit, image and chart name only what exists. Helm itself renders the chart. That the package installs and the
//! binary runs without privileges on a read-only root is tried by hand: `docs/operations.md` says how.

use crate::support::{left_out, server::BINARY};
use serde_json::{Value, json};
use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

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

/// What Helm makes of the chart with these values, by kind; its error when it refuses.
fn rendered(helm: &PathBuf, values: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = Command::new(helm);
    command.args(["template", "bus"]).arg(deploy("helm/trunkline"));
    values.iter().for_each(|value| {
        command.args(["--set", value]);
    });
    let output = command.output().expect("helm runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).expect("text");
    let documents = text.split("\n---\n").filter(|document| document.contains("kind:"));
    Ok(documents
        .map(|document| serde_saphyr::from_str(document).expect("YAML"))
        .collect())
}

/// Helm comes with the Python packages of the tests.
fn helm() -> Option<PathBuf> {
    let helm = env::var_os("TRUNKLINE_PYTHON").map(|python| PathBuf::from(python).with_file_name("helm"));
    let found = helm.filter(|helm| helm.is_file());
    if found.is_none() {
        left_out("Helm is not installed (`cargo xtask services`)");
    }
    found
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = documents.iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn helm_renders_the_chart_to_one_pod_without_privileges_and_its_volumes() {
    let Some(helm) = helm() else { return };
    let refused = rendered(&helm, &[]).expect_err("a server off loopback has keys");
    assert!(refused.contains("adminKeySecret is needed"), "{refused}");

    let plain = rendered(&helm, &["adminKeySecret=admin"]).expect("it renders");
    let set = &of_kind(&plain, "StatefulSet")["spec"];
    let container = &set["template"]["spec"]["containers"][0];
    assert_eq!(set["replicas"], 1, "a data directory has one process at a time");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(set["template"]["spec"]["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["readinessProbe"]["httpGet"]["scheme"], "HTTP");
    let claims = set["volumeClaimTemplates"].as_array().expect("volumes");
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0]["spec"]["resources"]["requests"]["storage"], "20Gi");
    let port = &of_kind(&plain, "Service")["spec"]["ports"][0];
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(8080), &json!("http")));
}

#[test]
fn helm_renders_secrets_a_second_volume_and_a_configuration_that_can_be_used() {
    let Some(helm) = helm() else { return };
    let values = [
        "adminKeySecret=admin,masterKeySecret=master,tlsSecret=tls",
        "persistence.backupSize=5Gi,persistence.storageClass=fast",
        "config=drain = \"20s\"",
    ];
    let whole = rendered(&helm, &values).expect("it renders");
    let set = &of_kind(&whole, "StatefulSet")["spec"];
    let (pod, container) = (&set["template"]["spec"], &set["template"]["spec"]["containers"][0]);
    let names = |list: &Value, name: &str| -> BTreeSet<String> {
        let each = list.as_array().into_iter().flatten();
        each.filter_map(|one| one[name].as_str().map(str::to_string)).collect()
    };
    let mounted = names(&container["volumeMounts"], "name");
    let there: BTreeSet<String> = (names(&pod["volumes"], "name").into_iter())
        .chain(
            set["volumeClaimTemplates"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|claim| {
                    assert_eq!(claim["spec"]["storageClassName"], "fast");
                    claim["metadata"]["name"].as_str().map(str::to_string)
                }),
        )
        .collect();
    assert_eq!(mounted, there, "what is mounted is there, and nothing else");
    assert_eq!(mounted.len(), 6, "{mounted:?}");
    assert_eq!(container["livenessProbe"]["httpGet"]["scheme"], "HTTPS");
    assert!(!names(&container["env"], "name").contains("TRUNKLINE_ALLOW_PLAINTEXT"));

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trunkline.toml");
    let config = of_kind(&whole, "ConfigMap")["data"]["trunkline.toml"]
        .as_str()
        .expect("text");
    fs::write(&file, config).expect("it is written");
    let checked = Command::new(BINARY).args(["config", "check"]).arg(&file).output();
    let checked = checked.expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
