//! The names and numbers of the meta line: they have to be the ones that the harness means.

use std::collections::BTreeMap;

use flowkeep_core::Error;
use flowkeep_core::cilium::{Kinds, State};
use flowkeep_core::error::Refusal;
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::Tuple;
use serde_json::Value;

use super::format::{Config, Meta, Scenario, Version};
use super::render;
use super::replay::same;

/// Compares the names and numbers of the meta line with ours.
pub(crate) fn check_names(meta: &Meta) -> Result<(), String> {
    let numbers = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs
            .iter()
            .map(|&(name, number)| (name.to_owned(), number))
            .collect()
    };
    let status = [("NEW", 0), ("ESTABLISHED", 1), ("REPLY", 2), ("RELATED", 3)];
    same("status", &meta.status, &numbers(&status))?;
    same(
        "dir",
        &meta.dir,
        &numbers(&[("egress", 0), ("ingress", 1), ("service", 2)]),
    )?;
    let flags = [("OUT", 0), ("IN", 1), ("RELATED", 2), ("SERVICE", 4)];
    same("tuple flags", &meta.tuple_flags, &numbers(&flags))?;
    let errors = [
        ("INVALID", Error::NetworkTruncated),
        ("CT_INVALID_HDR", Error::TransportTruncated),
        ("CT_UNKNOWN_PROTO", Error::UnknownProtocol),
        ("CT_CREATE_FAILED", Error::NotCreated(Refusal::Full)),
        ("INVALID_EXTHDR", Error::ExtensionHeaders),
        ("FRAG_NOSUPPORT", Error::FragmentUnsupported),
        ("FRAG_NOT_FOUND", Error::FragmentUnknown),
    ];
    let errors = errors.map(|(name, error)| (name, i64::from(error.code())));
    same("errors", &meta.errors, &numbers(&errors))?;
    if meta.version == Version::Y2026 {
        same(
            "scope",
            &meta.scope,
            &numbers(&[("forward", 0), ("reverse", 1), ("bidir", 2)]),
        )?;
        let kinds = [
            ("ANY", Kinds::ANY),
            ("NODEPORT", Kinds::NODE_PORT),
            ("DSR", Kinds::DSR),
            ("SVC", Kinds::SERVICE),
        ];
        let kinds = kinds.map(|(name, kind)| (name, i64::from(kind.0)));
        same("entry types", &meta.entry_types, &numbers(&kinds))?;
    }
    let tuple_fields = ["daddr", "saddr", "dport", "sport", "nexthdr", "flags"];
    same(
        "tuple fields",
        &meta.tuple_fields,
        &tuple_fields.map(str::to_owned).to_vec(),
    )?;
    let names = |value: Value| -> Vec<String> {
        let mut names: Vec<String> = value
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys().cloned())
            .collect();
        names.sort();
        names
    };
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let state = names(render::state(&State::default(), meta.version));
    same("state fields", &sorted(&meta.state_fields), &state)?;
    let mut entry = names(render::entry(
        &Default::default(),
        &Tuple::default(),
        meta.version,
    ));
    if meta.version == Version::Y2026 {
        entry.push("backend_id".to_owned());
        entry.sort();
    }
    same("entry fields", &sorted(&meta.entry_fields), &entry)
}

/// The settings of a scenario.
pub(crate) fn settings(meta: &Meta, case: &Scenario) -> Result<Settings, String> {
    let mut settings = Settings {
        accounting: case.config != Config::Noacct,
        sctp: case.config == Config::Sctp,
        other_protocols: case.config == Config::Extproto,
        ..Settings::default()
    };
    for (name, &value) in meta.constants.iter().chain(&case.constants) {
        let setting = match name.as_str() {
            "lifetime_tcp" => &mut settings.tcp,
            "lifetime_nontcp" => &mut settings.non_tcp,
            "svc_lifetime_tcp" => &mut settings.service_tcp,
            "svc_lifetime_nontcp" => &mut settings.service_non_tcp,
            "syn_timeout" => &mut settings.syn,
            "close_timeout" => &mut settings.close,
            "close_rebalance" => &mut settings.close_rebalance,
            "report_interval" => &mut settings.report_interval,
            "trace_payload_len" => &mut settings.report_headers,
            "mtu" => &mut settings.report_all,
            "report_flags" => {
                settings.report_flags = value.try_into().map_err(|_| "report_flags".to_owned())?;
                continue;
            }
            _ => return Err(format!("an unknown constant: {name}")),
        };
        *setting = value;
    }
    Ok(settings)
}
