//! `calldex cluster`: founding a cluster, joining one, looking at it, removing a member.

use super::{ServeArguments, print_failure, runtime};
use crate::cluster::{ClusterStatus, MemberStatus, OperatorClient, OperatorError};
use crate::config::{Config, is_address, split_addresses};
use calldex_storage::FaultInjector;
use calldex_storage::replication::{NodeIdentity, SurvivorReport};
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Exit status where an instance answered, and knows no primary that a majority follows.
const NO_PRIMARY_STATUS: u8 = 3;

/// What is done with the cluster.
#[derive(Subcommand)]
pub enum ClusterCommand {
    /// Makes the data directory the first instance of a new cluster, with the calls it has
    ///
    /// Run it once, on one instance: before `calldex serve`, or while that waits for it. An existing
    /// database of a single instance is adopted as it is. After the majority of a cluster is lost for good,
    /// `--from-survivor` founds a new one from what a member that is left has.
    Init(InitArguments),
    /// Notes in an empty data directory through which instances it is to join
    Join(JoinArguments),
    /// Asks the running instance how the cluster stands
    ///
    /// Exit status: 0 there is a primary that a majority follows, 3 there is none, 1 nobody answers.
    Status(LocalArguments),
    /// Removes a member for good
    Remove(RemoveArguments),
    /// Lets all instances write what only the version reads that they all run
    ///
    /// It happens by itself, cluster.finalize_upgrade_after_s after the last of them was upgraded. After it
    /// the version of before does not read the database any more.
    #[command(alias = "finish-upgrade")]
    FinalizeUpgrade(LocalArguments),
}

/// Options of all of them.
#[derive(Args)]
pub struct LocalArguments {
    #[command(flatten)]
    serve: ServeArguments,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Options of `calldex cluster init`.
#[derive(Args)]
pub struct InitArguments {
    /// From a member whose majority is lost for good: applies the rest of its log and its outbox first
    ///
    /// Stop every instance before. Of several survivors take the one whose last entry has the highest term,
    /// and among those the highest number: `--dry-run` tells. Run again after it was cut short, it goes on.
    #[arg(long)]
    from_survivor: bool,
    /// Only tells what the survivor has
    #[arg(long, requires = "from_survivor")]
    dry_run: bool,
    #[command(flatten)]
    local: LocalArguments,
}

/// Options of `calldex cluster join`.
#[derive(Args)]
pub struct JoinArguments {
    /// Cluster listeners of instances, host:port, separated by commas; one that answers is enough
    #[arg(value_name = "ADDRESS[,ADDRESS]")]
    addresses: String,
    #[command(flatten)]
    local: LocalArguments,
}

/// Options of `calldex cluster remove`.
#[derive(Args)]
pub struct RemoveArguments {
    /// The member's node id, name or address, as `calldex cluster status` shows them
    #[arg(value_name = "NODE_ID|INSTANCE")]
    who: String,
    /// Even if no majority of the voters that remain answers
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    local: LocalArguments,
}

pub(super) fn run(command: &ClusterCommand) -> ExitCode {
    match command {
        ClusterCommand::Init(arguments) => init(arguments),
        ClusterCommand::Join(arguments) => join(arguments),
        ClusterCommand::Status(arguments) => status(arguments),
        ClusterCommand::Remove(arguments) => remove(arguments),
        ClusterCommand::FinalizeUpgrade(arguments) => finalize_upgrade(arguments),
    }
}

impl LocalArguments {
    fn config(&self) -> Result<Config, ExitCode> {
        Config::load(&self.serve.sources()).map_err(print_failure)
    }

    /// Prints either form.
    fn print(&self, json: &serde_json::Value, text: &str) {
        let mut out = std::io::stdout().lock();
        let printed = if self.json {
            writeln!(out, "{json}")
        } else {
            writeln!(out, "{}", text.trim_end())
        };
        // Whoever closed the pipe (`| head`) has read enough; the exit status tells all the same.
        drop(printed);
    }
}

fn init(arguments: &InitArguments) -> ExitCode {
    let config = match arguments.local.config() {
        Ok(config) => config,
        Err(code) => return code,
    };
    if arguments.from_survivor {
        return init_from_survivor(arguments, &config.server.data);
    }
    let arguments = &arguments.local;
    let data = &config.server.data;
    let adopted = data.join(calldex_storage::DATABASE_FILE).exists();
    let identity = match NodeIdentity::init_cluster(data) {
        Ok(identity) => identity,
        Err(error) => return print_failure(error),
    };
    let (cluster_id, node_id) = (identity.cluster_id(), identity.node_id());
    let json = serde_json::json!({
        "cluster_id": cluster_id,
        "node_id": node_id,
        "adopted": adopted,
        "data": data.display().to_string(),
    });
    let calls = if adopted {
        "with the calls it has"
    } else {
        "without any calls yet"
    };
    let next = if config.cluster.is_enabled() {
        "start it with `calldex serve`, unless that is waiting already; then the others, with empty \
         data directories"
    } else {
        "set cluster.listen and cluster.secret and start it with `calldex serve`; then the others, \
         with empty data directories"
    };
    let text = format!(
        "{} is the first instance of a new cluster, {calls}\n  cluster  {cluster_id}\n  node     {node_id}\nNext: {next}.",
        data.display()
    );
    arguments.print(&json, &text);
    ExitCode::SUCCESS
}

fn init_from_survivor(arguments: &InitArguments, data: &Path) -> ExitCode {
    let done = match arguments.dry_run {
        true => SurvivorReport::inspect(data).map(|survivor| (survivor, None)),
        false => NodeIdentity::init_cluster_from_survivor(data, &FaultInjector::default())
            .map(|(survivor, identity)| (survivor, Some(identity))),
    };
    let (survivor, identity) = match done {
        Ok(done) => done,
        Err(error) => return print_failure(error),
    };
    let json = serde_json::json!({
        "data": data.display().to_string(),
        "survivor": (!survivor.cluster_id.is_empty()).then(|| serde_json::json!({
            "cluster_id": survivor.cluster_id,
            "last_term": survivor.last_entry.map(|(term, _)| term),
            "last_entry": survivor.last_entry.map(|(_, index)| index),
            "committed": survivor.committed,
            "applied": survivor.applied,
            "entries": survivor.entries,
            "outbox_writes": survivor.outbox_writes,
            "set_aside": survivor.rejected,
        })),
        "cluster_id": identity.as_ref().map(NodeIdentity::cluster_id),
        "node_id": identity.as_ref().map(NodeIdentity::node_id),
    });
    arguments
        .local
        .print(&json, &survivor_text(&survivor, identity.as_ref(), data));
    ExitCode::SUCCESS
}

/// What a survivor had, and what was made of it.
fn survivor_text(
    survivor: &SurvivorReport,
    identity: Option<&NodeIdentity>,
    data: &Path,
) -> String {
    let data = data.display();
    let number = |number: Option<u64>| number.map_or("none".to_owned(), |it| it.to_string());
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = if survivor.cluster_id.is_empty() {
        writeln!(
            text,
            "{data} was made ready by an earlier run: nothing is left to apply"
        )
    } else {
        let (term, last) = survivor.last_entry.unzip();
        writeln!(
            text,
            "{data} was a member of cluster {}\n  log      ends at entry {} of term {}, {} known to be committed\n  \
             database had entry {}: {} more\n  outbox   {} writes\n  aside    {} that are themselves at fault",
            survivor.cluster_id,
            number(last),
            number(term),
            number(survivor.committed),
            number(survivor.applied),
            survivor.entries,
            survivor.outbox_writes,
            survivor.rejected,
        )
    };
    let _ = match identity {
        None => writeln!(text, "Nothing was changed."),
        Some(identity) => writeln!(
            text,
            "All of it is in the database of the first instance of a new cluster\n  cluster  {}\n  node     {}\n\
             Next: start it with `calldex serve`; then the others, with empty data directories.",
            identity.cluster_id(),
            identity.node_id()
        ),
    };
    text
}

fn join(arguments: &JoinArguments) -> ExitCode {
    let addresses = split_addresses(&arguments.addresses);
    if let Some(wrong) = addresses.iter().find(|address| !is_address(address)) {
        return print_failure(format!(
            "{wrong:?} is no host:port, such as calldex-0.calldex:7946"
        ));
    }
    if addresses.is_empty() {
        return print_failure("name at least one instance, such as calldex-0.calldex:7946");
    }
    let config = match arguments.local.config() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let data = &config.server.data;
    if let Err(error) = NodeIdentity::set_join_addresses(data, &addresses) {
        return print_failure(error);
    }
    let json = serde_json::json!({ "join": addresses, "data": data.display().to_string() });
    let text = format!(
        "{} is to join through {}\nNext: start it with `calldex serve`, unless that is waiting already.",
        data.display(),
        addresses.join(", ")
    );
    arguments.local.print(&json, &text);
    ExitCode::SUCCESS
}

/// Asks the running instance.
fn with_operator_client<T>(
    arguments: &LocalArguments,
    question: impl AsyncFnOnce(OperatorClient) -> Result<T, OperatorError>,
) -> Result<T, ExitCode> {
    let config = arguments.config()?;
    if !config.cluster.is_enabled() {
        return Err(print_failure(
            "cluster.listen is not set: cluster mode is off",
        ));
    }
    let runtime = runtime().map_err(print_failure)?;
    let answer = runtime.block_on(async {
        let operator = OperatorClient::new(&config.cluster)?;
        question(operator).await
    });
    answer.map_err(print_failure)
}

fn status(arguments: &LocalArguments) -> ExitCode {
    let status = match with_operator_client(arguments, async |operator| operator.status().await) {
        Ok(status) => status,
        Err(code) => return code,
    };
    let json = serde_json::to_value(&status).expect("names and numbers always serialise");
    arguments.print(&json, &status_text(&status));
    if status.has_quorum {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO_PRIMARY_STATUS)
    }
}

fn remove(arguments: &RemoveArguments) -> ExitCode {
    let removing =
        async |operator: OperatorClient| operator.remove(&arguments.who, arguments.force).await;
    let removed = match with_operator_client(&arguments.local, removing) {
        Ok(removed) => removed,
        Err(code) => return code,
    };
    let json = serde_json::json!({
        "node_id": removed.node_id,
        "instance": removed.instance,
    });
    let text = format!(
        "{} (node {}) is no member any more. Stop it; it may join anew with an empty data directory.",
        removed.instance, removed.node_id
    );
    arguments.local.print(&json, &text);
    ExitCode::SUCCESS
}

fn finalize_upgrade(arguments: &LocalArguments) -> ExitCode {
    let finishing = async |operator: OperatorClient| operator.finalize_upgrade().await;
    let (level, was_before) = match with_operator_client(arguments, finishing) {
        Ok(finished) => finished,
        Err(code) => return code,
    };
    let json = serde_json::json!({ "level": level, "was_before": was_before });
    let text = if was_before {
        format!(
            "level {level} is in use, and all members read no higher one: there is nothing to finish"
        )
    } else {
        format!(
            "level {level} is in use: the version of before does not read the database any more"
        )
    };
    arguments.print(&json, &text);
    ExitCode::SUCCESS
}

fn status_text(status: &ClusterStatus) -> String {
    let mut text = String::new();
    let own = status
        .members
        .iter()
        .find(|member| member.node_id == status.node_id);
    let name = own.map_or("this instance", |member| member.instance.as_str());
    let primary = match (status.primary_member(), status.has_quorum) {
        (Some(member), true) => format!("{} (node {})", member.instance, member.node_id),
        (Some(member), false) => format!("{}, if a majority still follows it", member.instance),
        (None, _) => "none".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "cluster   {}", status.cluster_id);
    let _ = writeln!(
        text,
        "asked     {name} (node {}): {}",
        status.node_id,
        status.role.as_str()
    );
    let _ = writeln!(text, "primary   {primary}, term {}", status.term);
    let _ = writeln!(
        text,
        "position  {} committed, {} applied here",
        status.position, status.applied
    );
    let _ = writeln!(text, "level     {} in use", status.format_version);
    if let Some(trouble) = &status.problem {
        let _ = writeln!(text, "trouble   {trouble}");
    }
    let heads = [
        "instance", "node", "address", "role", "calls", "version", "reads", "position", "behind",
    ];
    let rows = status
        .members
        .iter()
        .map(|member| member_row(status, member));
    let rows: Vec<[String; 9]> = std::iter::once(heads.map(str::to_owned))
        .chain(rows)
        .collect();
    text.push('\n');
    for cells in &rows {
        let line: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = rows.iter().map(|row| row[column].chars().count()).max();
                format!("{cell:width$}", width = width.unwrap_or(0))
            })
            .collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

fn member_row(status: &ClusterStatus, member: &MemberStatus) -> [String; 9] {
    let role = if Some(member.node_id) == status.primary {
        "primary"
    } else if member.voter {
        "replica"
    } else {
        "learner"
    };
    let (position, behind) = if member.reachable {
        let behind = match member.differs_at {
            None => member.lag.to_string(),
            Some(entry) => format!("{}, and DIFFERS at entry {entry}", member.lag),
        };
        (member.position.to_string(), behind)
    } else {
        (String::from("-"), "does not answer".to_owned())
    };
    [
        member.instance.clone(),
        member.node_id.to_string(),
        member.address.clone(),
        role.to_owned(),
        if member.takes_calls { "yes" } else { "no" }.to_owned(),
        match member.version.as_str() {
            "" => "-".to_owned(),
            version => version.to_owned(),
        },
        format!("levels {}", member.supported_formats),
        position,
        behind,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::NodeRole;
    use calldex_storage::FormatVersionRange;

    fn member(node_id: u64, instance: &str, reachable: bool) -> MemberStatus {
        MemberStatus {
            node_id,
            address: format!("{instance}:7946"),
            instance: instance.to_owned(),
            voter: true,
            takes_calls: node_id != 3,
            position: 40,
            lag: 2,
            reachable,
            version: "0.2.0".into(),
            supported_formats: FormatVersionRange { min: 1, max: 2 },
            differs_at: (node_id == 2).then_some(39),
        }
    }

    #[test]
    fn a_person_sees_who_is_primary_and_who_does_not_answer() {
        let status = ClusterStatus {
            cluster_id: "c0ffee".into(),
            node_id: 2,
            role: NodeRole::Replica,
            term: 7,
            primary: Some(1),
            members: vec![
                member(1, "one", true),
                member(2, "two", true),
                member(3, "three", false),
            ],
            position: 42,
            applied: 42,
            format_version: 1,
            has_quorum: true,
            problem: None,
        };
        let text = status_text(&status);
        assert!(text.contains("primary   one (node 1), term 7"), "{text}");
        assert!(text.contains("asked     two (node 2): replica"), "{text}");
        let third = text.lines().last().unwrap();
        assert!(
            third.starts_with("three") && third.ends_with("does not answer"),
            "{text}"
        );
        assert!(third.contains(" no "), "{text}");
        assert!(text.contains("level     1 in use"), "{text}");
        assert!(text.contains("2, and DIFFERS at entry 39"), "{text}");
        assert!(
            third.contains("0.2.0") && third.contains("levels 1 to 2"),
            "{text}"
        );
    }
}
