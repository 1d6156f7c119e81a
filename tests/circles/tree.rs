//! The module tree of each crate: what every module defines, imports and names.

use crate::uses::{Import, Name, collect};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use syn::{Attribute, Item, Meta, Token, punctuated::Punctuated};

/// Rust files by their path below the repository.
pub type Sources = BTreeMap<String, String>;

/// A crate: the name that paths begin with, and its first file.
pub struct CrateRoot {
    pub name: String,
    pub file: String,
}

pub type ModuleId = usize;

/// A module, of a file of its own or inline.
#[derive(Default)]
pub struct Module {
    pub krate: usize,
    pub parent: Option<ModuleId>,
    pub file: String,
    /// The names from the crate's root to here.
    pub path: Vec<String>,
    /// More than one of a name where the build decides which is compiled.
    pub children: HashMap<String, Vec<ModuleId>>,
    pub definitions: HashSet<String>,
    /// Identifiers in the bodies of `macro_rules!` by the macro's name.
    pub macros: HashMap<String, HashSet<String>>,
    /// Macros called where an item stands, each with the identifiers in its tokens: it may define them.
    pub item_macros: Vec<(String, HashSet<String>)>,
    pub imports: Vec<Import>,
    pub names: Vec<Name>,
}

pub struct Workspace {
    pub crates: Vec<String>,
    pub modules: Vec<Module>,
    /// The root module of each crate, by its name.
    pub roots: HashMap<String, ModuleId>,
    pub files: BTreeSet<String>,
}

impl Workspace {
    /// # Panics
    /// When a file does not parse or a module's file is not there.
    pub fn parse(sources: &Sources, crates: &[CrateRoot]) -> Self {
        let mut workspace = Self {
            crates: crates.iter().map(|krate| krate.name.clone()).collect(),
            modules: Vec::new(),
            roots: HashMap::new(),
            files: BTreeSet::new(),
        };
        for (index, krate) in crates.iter().enumerate() {
            let root = workspace.modules.len();
            workspace.roots.insert(krate.name.clone(), root);
            let module = Module {
                krate: index,
                file: krate.file.clone(),
                ..Module::default()
            };
            let folder = folder_of(&krate.file);
            workspace.read_file(sources, module, folder);
        }
        workspace
    }

    /// The files of the parents of a file's modules: none for a crate's root.
    pub fn parent_files(&self) -> HashMap<&str, &str> {
        let mut parents = HashMap::new();
        for module in &self.modules {
            if let Some(parent) = module.parent {
                let parent = &self.modules[parent];
                if parent.file != module.file {
                    parents.insert(module.file.as_str(), parent.file.as_str());
                }
            }
        }
        parents
    }

    pub fn is_below(&self, mut module: ModuleId, ancestor: ModuleId) -> bool {
        while let Some(parent) = self.modules[module].parent {
            if parent == ancestor {
                return true;
            }
            module = parent;
        }
        false
    }

    pub fn root_of(&self, module: ModuleId) -> ModuleId {
        self.roots[&self.crates[self.modules[module].krate]]
    }

    /// `folder` is where the files of the module's children are.
    fn read_file(&mut self, sources: &Sources, module: Module, folder: String) {
        let file = module.file.clone();
        let text = sources
            .get(&file)
            .unwrap_or_else(|| panic!("{file} is declared and not there"));
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.files.insert(file);
        self.read_items(sources, module, &parsed.items, &parsed.attrs, &folder);
    }

    fn read_items(
        &mut self,
        sources: &Sources,
        mut module: Module,
        items: &[Item],
        attributes: &[Attribute],
        folder: &str,
    ) {
        let id = self.modules.len();
        collect(&mut module, items, attributes);
        let (krate, file, path) = (module.krate, module.file.clone(), module.path.clone());
        self.modules.push(module);
        for item in items {
            let Item::Mod(declared) = item else { continue };
            let name = declared.ident.to_string();
            if is_for_tests(&declared.attrs) {
                continue;
            }
            let child_folder = format!("{folder}{name}/");
            let mut child = Module {
                krate,
                parent: Some(id),
                path: [path.clone(), vec![name.clone()]].concat(),
                ..Module::default()
            };
            if let Some((_, items)) = &declared.content {
                self.add_child(id, &name);
                child.file.clone_from(&file);
                self.read_items(sources, child, items, &declared.attrs, &child_folder);
                continue;
            }
            let (child_file, child_folder) = match path_attribute(&declared.attrs) {
                Some(given) => {
                    let at = normalise(&format!("{}{given}", folder_of(&file)));
                    let below = folder_of(&at);
                    (at, below)
                }
                None => {
                    let flat = format!("{folder}{name}.rs");
                    let nested = format!("{child_folder}mod.rs");
                    let at = if sources.contains_key(&flat) {
                        flat
                    } else {
                        nested
                    };
                    (at, child_folder)
                }
            };
            if !is_test_file(&child_file) {
                self.add_child(id, &name);
                child.file = child_file;
                self.read_file(sources, child, child_folder);
            }
        }
    }

    /// The module that is read next is `parent`'s child.
    fn add_child(&mut self, parent: ModuleId, name: &str) {
        let next = self.modules.len();
        let children = &mut self.modules[parent].children;
        children.entry(name.to_owned()).or_default().push(next);
    }
}

/// Whether a file holds tests or their helpers and no product.
pub fn is_test_file(file: &str) -> bool {
    let mut parts = file.split('/').rev();
    let name = parts.next().unwrap_or_default();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name == "build.rs"
        || parts.any(|folder| ["tests", "examples", "benches", "target"].contains(&folder))
}

/// Whether an item is only compiled for tests.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .filter_map(|attribute| attribute.parse_args::<Meta>().ok())
        .any(|predicate| holds_without_tests(&predicate) == Some(false))
}

/// What a `cfg` predicate is in a build without tests; nothing where that depends on the build.
fn holds_without_tests(predicate: &Meta) -> Option<bool> {
    if predicate.path().is_ident("test") {
        return Some(false);
    }
    let Meta::List(list) = predicate else {
        return None;
    };
    let parts = list
        .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
        .ok()?;
    let mut parts = parts.iter().map(holds_without_tests);
    if list.path.is_ident("not") {
        parts.next().flatten().map(|holds| !holds)
    } else if list.path.is_ident("all") {
        parts.any(|part| part == Some(false)).then_some(false)
    } else {
        parts.all(|part| part == Some(false)).then_some(false)
    }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(literal) => match &literal.lit {
                    syn::Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
}

/// The folder of a file, with the slash at its end.
fn folder_of(file: &str) -> String {
    file.rfind('/')
        .map_or_else(String::new, |slash| file[..=slash].to_owned())
}

fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
