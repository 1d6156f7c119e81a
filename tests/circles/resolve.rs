//! What a path names: the module, or the file that defines the item, through every re-export.

use crate::graph::{Graph, Use};
use crate::tree::{ModuleId, Workspace};
use crate::uses::Name;
use std::collections::HashSet;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Module(ModuleId),
    /// An item, and the module that defines it.
    Item(ModuleId, String),
    /// Not of this workspace: std, a dependency, a generic or local name.
    External,
}

/// Names that are being looked up, so that a circle of re-exports ends.
type Open = HashSet<(ModuleId, String)>;

/// The graph of files, or every path into the workspace that leads nowhere.
pub fn graph(workspace: &Workspace) -> Result<Graph, Vec<String>> {
    let mut graph = Graph::new(workspace);
    let mut unresolved = Vec::new();
    for (id, module) in workspace.modules.iter().enumerate() {
        for import in &module.imports {
            let targets = workspace.resolve(id, &import.path, &mut Open::new());
            if targets.is_empty() {
                unresolved.push(complaint(&module.file, &import.path));
            }
            for target in targets {
                let below = match &target {
                    Target::Module(defined) | Target::Item(defined, _) => {
                        workspace.is_below(*defined, id)
                    }
                    Target::External => false,
                };
                // A parent that shows others what is below it does not use it.
                if !(import.public && below) {
                    add(&mut graph, workspace, id, &import.path, &target);
                }
            }
        }
        for name in &module.names {
            match workspace.resolve_name(id, name) {
                Some(targets) => targets
                    .iter()
                    .for_each(|target| add(&mut graph, workspace, id, name, target)),
                None => unresolved.push(complaint(&module.file, name)),
            }
        }
    }
    if unresolved.is_empty() {
        Ok(graph)
    } else {
        unresolved.sort();
        unresolved.dedup();
        Err(unresolved)
    }
}

fn complaint(file: &str, name: &Name) -> String {
    let path = name.segments.join("::");
    format!("{file}:{}: {path} leads nowhere", name.line)
}

fn add(graph: &mut Graph, workspace: &Workspace, from: ModuleId, path: &Name, target: &Target) {
    let (defined, name) = match target {
        Target::Module(module) => (*module, path.segments.join("::")),
        Target::Item(module, name) => (*module, name.clone()),
        Target::External => return,
    };
    let from = &workspace.modules[from].file;
    let to = &workspace.modules[defined].file;
    if from != to {
        graph.add(
            from,
            to,
            Use {
                name,
                line: path.line,
            },
        );
    }
}

impl Workspace {
    /// The targets of a path in code: none is to be recorded for a name that is no path into the
    /// workspace, nothing is returned for one that leads nowhere.
    fn resolve_name(&self, from: ModuleId, name: &Name) -> Option<Vec<Target>> {
        let single = name.segments.len() == 1;
        let first = name.segments[0].as_str();
        let begins = ["crate", "self", "super"].contains(&first);
        if single && begins {
            return Some(Vec::new());
        }
        let mut targets = self.resolve(from, name, &mut Open::new());
        if single {
            targets.retain(|target| matches!(target, Target::Item(..)));
            if targets.is_empty() && name.is_macro {
                targets.extend(self.macro_above(from, first));
            }
            return Some(targets);
        }
        (!targets.is_empty()).then_some(targets)
    }

    /// A `macro_rules!` of a module around this one, in scope by the order of the text.
    fn macro_above(&self, from: ModuleId, name: &str) -> Option<Target> {
        let mut at = self.modules[from].parent;
        while let Some(module) = at {
            if self.modules[module].macros.contains_key(name) {
                return Some(Target::Item(module, name.to_owned()));
            }
            at = self.modules[module].parent;
        }
        None
    }

    /// Empty where a path into the workspace leads nowhere.
    pub fn resolve(&self, from: ModuleId, path: &Name, open: &mut Open) -> Vec<Target> {
        let mut rest = path.segments.as_slice();
        let mut start = None;
        let first = rest[0].as_str();
        if path.global {
            start = Some(match self.roots.get(first) {
                Some(root) => Target::Module(*root),
                None => Target::External,
            });
            rest = &rest[1..];
        } else if first == "crate" {
            start = Some(Target::Module(self.root_of(from)));
            rest = &rest[1..];
        } else if first == "self" || first == "super" {
            let mut at = from;
            if first == "self" {
                rest = &rest[1..];
            }
            while rest.first().is_some_and(|segment| segment == "super") {
                match self.modules[at].parent {
                    Some(parent) => at = parent,
                    None => return Vec::new(),
                }
                rest = &rest[1..];
            }
            start = Some(Target::Module(at));
        }
        let mut targets = match start {
            Some(target) => vec![target],
            None => {
                rest = &rest[1..];
                let mut found = self.look_up(from, first, true, open);
                if found.is_empty() {
                    found.push(match self.roots.get(first) {
                        Some(root) => Target::Module(*root),
                        None => Target::External,
                    });
                }
                found
            }
        };
        for segment in rest {
            targets = self.step(&targets, segment, open);
        }
        targets
    }

    /// A name below what the path has led to so far. A module goes before an item of its name.
    fn step(&self, targets: &[Target], segment: &str, open: &mut Open) -> Vec<Target> {
        let mut found = Vec::new();
        for target in targets {
            if let Target::Module(module) = target {
                found.extend(self.look_up(*module, segment, false, open));
            }
        }
        if found.is_empty() {
            let items = targets
                .iter()
                .filter(|target| !matches!(target, Target::Module(_)));
            found.extend(items.cloned());
        }
        found.dedup();
        found
    }

    /// A name in a module. `inside` is the module's own code, which has its functions' imports too.
    fn look_up(&self, module: ModuleId, name: &str, inside: bool, open: &mut Open) -> Vec<Target> {
        if !open.insert((module, name.to_owned())) {
            return Vec::new();
        }
        let at = &self.modules[module];
        let mut found = Vec::new();
        let children = at.children.get(name).into_iter().flatten();
        found.extend(children.map(|child| Target::Module(*child)));
        if at.definitions.contains(name) {
            found.push(Target::Item(module, name.to_owned()));
        }
        let visible = || at.imports.iter().filter(|import| inside || !import.local);
        for import in visible().filter(|import| import.name.as_deref() == Some(name)) {
            found.extend(self.resolve(module, &import.path, open));
        }
        if found.is_empty() && self.may_be_made_by_macro(module, name) {
            found.push(Target::Item(module, name.to_owned()));
        }
        if found.is_empty() {
            for glob in visible().filter(|import| import.name.is_none()) {
                for target in self.resolve(module, &glob.path, open) {
                    if let Target::Module(all_of) = target {
                        found.extend(self.look_up(all_of, name, false, open));
                    }
                }
            }
        }
        open.remove(&(module, name.to_owned()));
        found.dedup();
        found
    }

    /// Whether a macro that is called where items stand has the name in its tokens or its rules.
    fn may_be_made_by_macro(&self, module: ModuleId, name: &str) -> bool {
        let made_by = |called: &str| {
            self.modules
                .iter()
                .filter_map(|module| module.macros.get(called))
                .any(|rules| rules.contains(name))
        };
        self.modules[module]
            .item_macros
            .iter()
            .any(|(called, tokens)| tokens.contains(name) || made_by(called))
    }
}
