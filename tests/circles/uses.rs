//! What a module defines, imports and names, read from its syntax tree.

use crate::tree::{Module, is_for_tests};
use proc_macro2::{Ident, TokenStream, TokenTree};
use std::collections::HashSet;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree, Visibility};

/// A path, and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// `$crate` is `crate`.
    pub segments: Vec<String>,
    /// With `::` before it: the first segment is a crate.
    pub global: bool,
    pub line: usize,
    /// Called as a macro, which may be in scope by the order of the text alone.
    pub is_macro: bool,
}

/// One name, or all names of a module, that a `use` brings.
#[derive(Clone, Debug)]
pub struct Import {
    pub path: Name,
    /// Nothing for a glob.
    pub name: Option<String>,
    /// Brought for others too.
    pub public: bool,
    /// In a function's body.
    pub local: bool,
}

/// Fills `module` from its items; those of its child modules are not looked at.
pub fn collect(module: &mut Module, items: &[Item], attributes: &[Attribute]) {
    let mut collector = Collector { module, depth: 0 };
    for attribute in attributes {
        collector.visit_attribute(attribute);
    }
    for item in items {
        collector.visit_item(item);
    }
}

struct Collector<'a> {
    module: &'a mut Module,
    /// Blocks around what is visited.
    depth: usize,
}

impl Collector<'_> {
    fn define(&mut self, name: &Ident) {
        if self.depth == 0 {
            self.module.definitions.insert(plain(name));
        }
    }

    fn name(&mut self, segments: Vec<String>, global: bool, line: usize, is_macro: bool) {
        self.module.names.push(Name {
            segments,
            global,
            line,
            is_macro,
        });
    }

    fn path(&mut self, path: &syn::Path, is_macro: bool) {
        let segments = path
            .segments
            .iter()
            .map(|segment| plain(&segment.ident))
            .collect();
        let line = path.segments[0].ident.span().start().line;
        self.name(segments, path.leading_colon.is_some(), line, is_macro);
    }

    fn import(&mut self, tree: &UseTree, prefix: &[&Ident], item: &syn::ItemUse) {
        let (leaf, name) = match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[&path.ident]].concat();
                return self.import(&path.tree, &prefix, item);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, item);
                }
                return;
            }
            UseTree::Name(leaf) => (Some(&leaf.ident), Some(&leaf.ident)),
            UseTree::Rename(leaf) => (Some(&leaf.ident), Some(&leaf.rename)),
            UseTree::Glob(_) => (None, None),
        };
        let mut path = prefix.to_vec();
        let mut name = name.map(plain);
        match leaf {
            Some(leaf) if leaf == "self" && !prefix.is_empty() => {
                let of_module = prefix.last().map(|last| plain(last));
                name = name.filter(|name| name != "self").or(of_module);
            }
            Some(leaf) => path.push(leaf),
            None => {}
        }
        let Some(line) = leaf
            .or(prefix.last().copied())
            .map(|at| at.span().start().line)
        else {
            return;
        };
        self.module.imports.push(Import {
            path: Name {
                segments: path.into_iter().map(plain).collect(),
                global: item.leading_colon.is_some(),
                line,
                is_macro: false,
            },
            name,
            public: !matches!(item.vis, Visibility::Inherited),
            local: self.depth > 0,
        });
    }

    /// Every path in a macro's tokens. A single name counts where it may be a type or a constant.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    let mut inner = group.stream().into_iter();
                    if !matches!(inner.next(), Some(TokenTree::Ident(first)) if first == "in") {
                        self.tokens(group.stream());
                    }
                }
                TokenTree::Ident(first) if begins_path(&tokens, at) => {
                    let mut segments = vec![plain(first)];
                    while is_punct(&tokens, at + 1, ':') && is_punct(&tokens, at + 2, ':') {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else {
                            break;
                        };
                        segments.push(plain(next));
                        at += 3;
                    }
                    let is_name = segments.len() > 1
                        || first.to_string().starts_with(|c: char| c.is_uppercase());
                    if is_name {
                        let is_macro =
                            is_punct(&tokens, at + 1, '!') && !is_punct(&tokens, at + 2, '=');
                        self.name(segments, false, first.span().start().line, is_macro);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// Whether the identifier at `at` is the first of a path: no field, no method, no variable of a macro.
fn begins_path(tokens: &[TokenTree], at: usize) -> bool {
    let TokenTree::Ident(first) = &tokens[at] else {
        return false;
    };
    if at == 0 {
        return true;
    }
    let crate_variable = first == "crate" && is_punct(tokens, at - 1, '$');
    let range = at > 1 && is_punct(tokens, at - 2, '.');
    let field = is_punct(tokens, at - 1, '.') && !range;
    let later = at > 1 && is_punct(tokens, at - 1, ':') && is_punct(tokens, at - 2, ':');
    crate_variable || !(field || later || is_punct(tokens, at - 1, '$'))
}

fn is_punct(tokens: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn identifiers(tokens: TokenStream, into: &mut HashSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(name) => drop(into.insert(plain(&name))),
            TokenTree::Group(group) => identifiers(group.stream(), into),
            _ => {}
        }
    }
}

fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = attributes_and_name(item);
        if is_for_tests(attributes) || (matches!(item, Item::Mod(_)) && self.depth == 0) {
            return;
        }
        if let Some(name) = name {
            self.define(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_trait_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.import(&item.tree, &[], item);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let mut inside = HashSet::new();
        identifiers(item.mac.tokens.clone(), &mut inside);
        if let Some(name) = &item.ident {
            self.define(name);
            self.module.macros.insert(plain(name), inside);
            self.tokens(item.mac.tokens.clone());
            return;
        }
        if let Some(called) = item.mac.path.segments.last() {
            let called = plain(&called.ident);
            self.module.item_macros.push((called, inside));
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.path(&called.path, true);
        self.tokens(called.tokens.clone());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path, false);
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, expression: &'ast syn::ExprPath) {
        match &expression.qself {
            // `<T>::name`: the path is the type's own.
            Some(own) if own.position == 0 => self.visit_type(&own.ty),
            _ => visit::visit_expr_path(self, expression),
        }
    }

    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        match &path.qself {
            Some(own) if own.position == 0 => self.visit_type(&own.ty),
            _ => visit::visit_type_path(self, path),
        }
    }

    /// Who may see an item is no use of that module.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) if !list.path.is_ident("cfg") => {
                self.tokens(list.tokens.clone());
                if list.path.is_ident("serde") {
                    for token in list.tokens.clone() {
                        self.path_in_text(token);
                    }
                }
            }
            Meta::NameValue(pair) => self.visit_expr(&pair.value),
            _ => {}
        }
    }
}

impl Collector<'_> {
    /// `#[serde(with = "crate::form")]`.
    fn path_in_text(&mut self, token: TokenTree) {
        let TokenTree::Literal(literal) = token else {
            return;
        };
        let line = literal.span().start().line;
        let text = literal.to_string();
        if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
            let segments = path
                .segments
                .iter()
                .map(|segment| plain(&segment.ident))
                .collect();
            self.name(segments, false, line, false);
        }
    }
}

fn attributes_and_name(item: &Item) -> (&[Attribute], Option<&Ident>) {
    match item {
        Item::Const(item) => (&item.attrs, Some(&item.ident)),
        Item::Enum(item) => (&item.attrs, Some(&item.ident)),
        Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
        Item::Static(item) => (&item.attrs, Some(&item.ident)),
        Item::Struct(item) => (&item.attrs, Some(&item.ident)),
        Item::Trait(item) => (&item.attrs, Some(&item.ident)),
        Item::TraitAlias(item) => (&item.attrs, Some(&item.ident)),
        Item::Type(item) => (&item.attrs, Some(&item.ident)),
        Item::Union(item) => (&item.attrs, Some(&item.ident)),
        Item::ExternCrate(item) => (&item.attrs, None),
        Item::ForeignMod(item) => (&item.attrs, None),
        Item::Impl(item) => (&item.attrs, None),
        Item::Macro(item) => (&item.attrs, None),
        Item::Mod(item) => (&item.attrs, None),
        Item::Use(item) => (&item.attrs, None),
        _ => (&[], None),
    }
}
