//! Files and who uses whom; the circles among them that are not allowed.

use crate::tree::Workspace;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A name that one file uses of another, and where it does so first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub name: String,
    pub line: usize,
}

pub type FileId = usize;
pub type Edge = (FileId, FileId);

pub struct Graph {
    pub files: Vec<String>,
    /// The module path of each file, its crate first.
    pub modules: Vec<Vec<String>>,
    /// The file of the module that declares this one.
    parents: Vec<Option<FileId>>,
    pub edges: BTreeMap<Edge, Vec<Use>>,
}

/// Files that use each other in a circle that is not allowed.
pub struct Component {
    pub files: Vec<FileId>,
    /// Among the children of one module: the edges to and from that module do not count.
    siblings: bool,
}

impl Graph {
    pub fn new(workspace: &Workspace) -> Self {
        let files: Vec<String> = workspace.files.iter().cloned().collect();
        let id = |file: &str| {
            files
                .binary_search_by(|known| known.as_str().cmp(file))
                .ok()
        };
        let parent_files = workspace.parent_files();
        let parents = files
            .iter()
            .map(|file| parent_files.get(file.as_str()).and_then(|file| id(file)))
            .collect();
        let mut modules = vec![Vec::new(); files.len()];
        for module in workspace.modules.iter().rev() {
            if let Some(file) = id(&module.file) {
                modules[file] = [
                    vec![workspace.crates[module.krate].clone()],
                    module.path.clone(),
                ]
                .concat();
            }
        }
        Self {
            files,
            modules,
            parents,
            edges: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, from: &str, to: &str, used: Use) {
        let id = |file: &str| self.files.iter().position(|known| known == file);
        let (Some(from), Some(to)) = (id(from), id(to)) else {
            return;
        };
        let uses = self.edges.entry((from, to)).or_default();
        match uses.iter_mut().find(|known| known.name == used.name) {
            Some(known) => known.line = known.line.min(used.line),
            None => uses.push(used),
        }
        uses.sort_by_key(|used| used.line);
    }

    /// A parent and its child, or two children of one parent.
    fn one_family(&self, (from, to): Edge) -> bool {
        self.is_parent_and_child((from, to))
            || (self.parents[from].is_some() && self.parents[from] == self.parents[to])
    }

    fn is_parent_and_child(&self, (from, to): Edge) -> bool {
        self.parents[to] == Some(from) || self.parents[from] == Some(to)
    }

    /// Every set of files that use each other in a circle, save where the circle is only of a module's
    /// file and the files of its own children.
    ///
    /// A set in which two circles touch in one file is told as two.
    pub fn failing(&self) -> Vec<Component> {
        let all: BTreeSet<FileId> = (0..self.files.len()).collect();
        self.failing_among(&self.edges.keys().copied().collect(), &all)
    }

    fn failing_among(&self, edges: &BTreeSet<Edge>, files: &BTreeSet<FileId>) -> Vec<Component> {
        let mut failing = Vec::new();
        for component in strong_components(files, edges) {
            for block in blocks(&component, edges) {
                let inside = within(&block, edges);
                if inside.iter().any(|edge| !self.one_family(*edge)) {
                    let files = block.into_iter().collect();
                    let siblings = false;
                    failing.push(Component { files, siblings });
                    continue;
                }
                // One family: its parent may be in the circle, and the children alone may be none.
                let parent = block.iter().copied().find(|file| {
                    block
                        .iter()
                        .any(|child| self.parents[*child] == Some(*file))
                });
                let mut children = block.clone();
                if let Some(parent) = parent {
                    children.remove(&parent);
                }
                for circle in strong_components(&children, &inside) {
                    let files = circle.into_iter().collect();
                    let siblings = true;
                    failing.push(Component { files, siblings });
                }
            }
        }
        failing.sort_by_key(|component| (usize::MAX - component.files.len(), component.files[0]));
        failing
    }

    /// Sets of files that use each other, allowed ones too.
    pub fn strong_components(&self) -> Vec<BTreeSet<FileId>> {
        let all = (0..self.files.len()).collect();
        strong_components(&all, &self.edges.keys().copied().collect())
    }

    /// A shortest circle through each edge that may not be in one.
    fn circles(&self, component: &Component, edges: &BTreeSet<Edge>) -> Vec<Vec<Edge>> {
        let files: BTreeSet<FileId> = component.files.iter().copied().collect();
        let inside = within(&files, edges);
        inside
            .iter()
            .filter(|edge| component.siblings || !self.one_family(**edge))
            .filter_map(|(from, to)| {
                let mut circle = vec![(*from, *to)];
                circle.extend(shortest_way(*to, *from, &inside)?);
                Some(circle)
            })
            .collect()
    }

    pub fn shortest_circle(&self, component: &Component) -> Vec<Edge> {
        let edges = self.edges.keys().copied().collect();
        let mut circles = self.circles(component, &edges);
        circles.sort_by_key(Vec::len);
        circles.into_iter().next().unwrap_or_default()
    }

    /// A set of edges without which the component has no circle, none of which can be left out of the
    /// set. The fewest names are preferred, not guaranteed.
    pub fn cuts(&self, component: &Component) -> Vec<Edge> {
        let files: BTreeSet<FileId> = component.files.iter().copied().collect();
        let mut edges = within(&files, &self.edges.keys().copied().collect());
        let mut cuts = Vec::new();
        loop {
            let mut counts: BTreeMap<Edge, usize> = BTreeMap::new();
            for failing in self.failing_among(&edges, &files) {
                for edge in self.circles(&failing, &edges).concat() {
                    *counts.entry(edge).or_default() += 1;
                }
            }
            // The most circles for each name that has to move.
            let best = counts.into_iter().max_by(|(edge, count), (other, others)| {
                (count * self.weight(*other)).cmp(&(others * self.weight(*edge)))
            });
            let Some((edge, _)) = best else { break };
            edges.remove(&edge);
            cuts.push(edge);
        }
        cuts.sort_by_key(|edge| usize::MAX - self.weight(*edge));
        for edge in cuts.clone() {
            edges.insert(edge);
            if self.failing_among(&edges, &files).is_empty() {
                cuts.retain(|cut| *cut != edge);
            } else {
                edges.remove(&edge);
            }
        }
        cuts.sort_unstable();
        cuts
    }

    fn weight(&self, edge: Edge) -> usize {
        let names = self.edges[&edge].len();
        if self.is_parent_and_child(edge) {
            names * 2
        } else {
            names
        }
    }

    pub fn show(&self, edge: Edge) -> String {
        let uses = &self.edges[&edge];
        let names: Vec<String> = uses
            .iter()
            .map(|used| format!("{}:{}", used.line, used.name))
            .collect();
        let (from, to) = (&self.files[edge.0], &self.files[edge.1]);
        format!("{from}:{} -> {to}  {}", uses[0].line, names.join(" "))
    }

    /// The components as a person reads them.
    pub fn report(&self, components: &[Component]) -> String {
        let mut lines = Vec::new();
        for component in components {
            let kind = if component.siblings {
                " among the children of one module"
            } else {
                ""
            };
            lines.push(format!("circle of {} files{kind}:", component.files.len()));
            for file in &component.files {
                lines.push(format!("    {}", self.files[*file]));
            }
            lines.push("  the shortest:".to_owned());
            for edge in self.shortest_circle(component) {
                lines.push(format!("    {}", self.show(edge)));
            }
            let cuts = self.cuts(component);
            lines.push(format!("  without these {} there is none:", cuts.len()));
            for edge in cuts {
                lines.push(format!("    {}", self.show(edge)));
            }
            lines.push(String::new());
        }
        lines.join("\n")
    }
}

fn within(files: &BTreeSet<FileId>, edges: &BTreeSet<Edge>) -> BTreeSet<Edge> {
    edges
        .iter()
        .copied()
        .filter(|(from, to)| files.contains(from) && files.contains(to))
        .collect()
}

fn neighbours(edges: impl IntoIterator<Item = Edge>) -> BTreeMap<FileId, Vec<FileId>> {
    let mut next: BTreeMap<FileId, Vec<FileId>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    next
}

fn shortest_way(from: FileId, to: FileId, edges: &BTreeSet<Edge>) -> Option<Vec<Edge>> {
    let mut came: BTreeMap<FileId, FileId> = BTreeMap::new();
    let mut open = VecDeque::from([from]);
    while let Some(at) = open.pop_front() {
        if at == to {
            let mut way = Vec::new();
            let mut at = to;
            while at != from {
                way.push((came[&at], at));
                at = came[&at];
            }
            way.reverse();
            return Some(way);
        }
        for (_, next) in edges.range((at, 0)..(at + 1, 0)) {
            if *next != from && !came.contains_key(next) {
                came.insert(*next, at);
                open.push_back(*next);
            }
        }
    }
    None
}

/// Tarjan's strongly connected components, those of two or more files.
fn strong_components(files: &BTreeSet<FileId>, edges: &BTreeSet<Edge>) -> Vec<BTreeSet<FileId>> {
    #[derive(Default)]
    struct Search {
        next: BTreeMap<FileId, Vec<FileId>>,
        index: BTreeMap<FileId, usize>,
        low: BTreeMap<FileId, usize>,
        stack: Vec<FileId>,
        found: Vec<BTreeSet<FileId>>,
    }
    fn visit(search: &mut Search, file: FileId) {
        let number = search.index.len();
        search.index.insert(file, number);
        search.low.insert(file, number);
        search.stack.push(file);
        for next in search.next.get(&file).cloned().unwrap_or_default() {
            if !search.index.contains_key(&next) {
                visit(search, next);
                let low = search.low[&file].min(search.low[&next]);
                search.low.insert(file, low);
            } else if search.stack.contains(&next) {
                let low = search.low[&file].min(search.index[&next]);
                search.low.insert(file, low);
            }
        }
        if search.low[&file] == number
            && let Some(at) = search.stack.iter().position(|open| *open == file)
        {
            let component: BTreeSet<FileId> = search.stack.drain(at..).collect();
            if component.len() > 1 {
                search.found.push(component);
            }
        }
    }
    let mut search = Search {
        next: neighbours(within(files, edges)),
        ..Search::default()
    };
    for file in files {
        if !search.index.contains_key(file) {
            visit(&mut search, *file);
        }
    }
    search.found
}

/// The component cut at each file in which its parts only touch: every circle is in one of the parts.
fn blocks(component: &BTreeSet<FileId>, edges: &BTreeSet<Edge>) -> Vec<BTreeSet<FileId>> {
    #[derive(Default)]
    struct Search {
        next: BTreeMap<FileId, Vec<FileId>>,
        depth: BTreeMap<FileId, usize>,
        low: BTreeMap<FileId, usize>,
        stack: Vec<Edge>,
        found: Vec<BTreeSet<FileId>>,
    }
    fn visit(search: &mut Search, file: FileId, from: Option<FileId>) {
        let depth = search.depth.len();
        search.depth.insert(file, depth);
        search.low.insert(file, depth);
        for next in search.next.get(&file).cloned().unwrap_or_default() {
            if !search.depth.contains_key(&next) {
                search.stack.push((file, next));
                visit(search, next, Some(file));
                let low = search.low[&file].min(search.low[&next]);
                search.low.insert(file, low);
                if search.low[&next] >= depth
                    && let Some(at) = search.stack.iter().position(|open| *open == (file, next))
                {
                    let part = search.stack.drain(at..).flat_map(|(a, b)| [a, b]);
                    let part = part.collect();
                    search.found.push(part);
                }
            } else if Some(next) != from && search.depth[&next] < depth {
                search.stack.push((file, next));
                let low = search.low[&file].min(search.depth[&next]);
                search.low.insert(file, low);
            }
        }
    }
    let both_ways: BTreeSet<Edge> = within(component, edges)
        .into_iter()
        .flat_map(|(from, to)| [(from, to), (to, from)])
        .collect();
    let mut search = Search {
        next: neighbours(both_ways),
        ..Search::default()
    };
    if let Some(first) = component.first() {
        visit(&mut search, *first, None);
    }
    search.found
}
