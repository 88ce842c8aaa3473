//! What `common` and `firmware` offer to others, read from their sources.
//!
//! `pub` means public here: the workspace's lint `unreachable_pub` sees to that. Code that images do not have (tests, and
//! what needs an operating system) is passed over, by the same conditions by which the compiler leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenTree};
use quote::ToTokens;
use syn::{Attribute, ImplItem, Item, Meta, TraitItem, Type, Visibility};

/// Features that the images of the proof have. No other is on.
const FEATURES: &[&str] = &["console", "secure-bus"];

/// Macros that make public functions: where, and what they make. `Type` is the one that a call of the macro names.
const MACROS: &[(&str, &str, &[&str])] = &[
    (
        "assay_common::protocol::codes",
        "codes",
        &[
            "assay_common::protocol::codes::Type::name",
            "<assay_common::protocol::codes::Type as Display>::fmt",
            "<assay_common::protocol::codes::Type as Debug>::fmt",
            "<assay_common::protocol::codes::Type as Clone>::clone",
            "<assay_common::protocol::codes::Type as PartialEq>::eq",
            "<assay_common::protocol::codes::Type as Hash>::hash",
            "<assay_common::protocol::codes::Type as Serialize>::serialize",
            "<assay_common::protocol::codes::Type as Deserialize>::deserialize",
        ],
    ),
    (
        "assay_common::policy::kind",
        "kinds",
        &["assay_common::policy::kind::AttestorKind::name"],
    ),
];

/// One module's file as it was read.
struct Module {
    /// `assay_common::tpm::codec`.
    path: String,
    items: Vec<Item>,
}

/// A type of the crate.
struct Defined {
    module: String,
    public: bool,
}

/// The names of everything public in the crate at `root`, as [`super::names`] writes them.
pub(super) fn public_names(crate_name: &str, root: &Path) -> BTreeSet<String> {
    let mut modules = Vec::new();
    read_module(
        crate_name.to_owned(),
        &root.join("lib.rs"),
        root,
        &mut modules,
    );
    let mut types: BTreeMap<String, Vec<Defined>> = BTreeMap::new();
    let mut private_traits = BTreeSet::new();
    for module in &modules {
        for item in &module.items {
            let (name, visibility) = match item {
                Item::Struct(item) => (&item.ident, &item.vis),
                Item::Enum(item) => (&item.ident, &item.vis),
                Item::Trait(item) => {
                    if !is_public(&item.vis) {
                        private_traits.insert(item.ident.to_string());
                    }
                    continue;
                }
                Item::Macro(item) if item.mac.path.is_ident("codes") => {
                    if let Some(name) = type_of_call(&item.mac) {
                        types.entry(name).or_default().push(Defined {
                            module: module.path.clone(),
                            public: true,
                        });
                    }
                    continue;
                }
                _ => continue,
            };
            types.entry(name.to_string()).or_default().push(Defined {
                module: module.path.clone(),
                public: is_public(visibility),
            });
        }
    }
    let mut names = BTreeSet::new();
    for module in &modules {
        for item in &module.items {
            add_item(module, item, &types, &private_traits, &mut names);
        }
    }
    names
}

/// Reads a file and the files of its modules.
fn read_module(path: String, file: &Path, folder: &Path, modules: &mut Vec<Module>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    read_items(path, parsed.items, file, folder, modules);
}

fn read_items(
    path: String,
    items: Vec<Item>,
    file: &Path,
    folder: &Path,
    modules: &mut Vec<Module>,
) {
    let mut own = Vec::new();
    for item in items {
        if !attributes(&item).iter().all(is_built) {
            continue;
        }
        let Item::Mod(inner) = item else {
            own.push(item);
            continue;
        };
        let name = inner.ident.to_string();
        let inner_path = format!("{path}::{name}");
        if let Some((_, items)) = inner.content {
            read_items(inner_path, items, file, &folder.join(&name), modules);
            continue;
        }
        let given = inner.attrs.iter().find_map(path_attribute);
        let (file, folder) = match given {
            Some(given) => {
                let file = file.parent().expect("a file has a folder").join(given);
                let folder = file.parent().expect("a file has a folder").to_owned();
                (file, folder)
            }
            None => module_file(folder, &name),
        };
        read_module(inner_path, &file, &folder, modules);
    }
    modules.push(Module { path, items: own });
}

fn module_file(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let inner = folder.join(name);
    let plain = folder.join(format!("{name}.rs"));
    if plain.exists() {
        (plain, inner)
    } else {
        (inner.join("mod.rs"), inner)
    }
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    let text = meta.value.to_token_stream().to_string();
    meta.path
        .is_ident("path")
        .then(|| text.trim_matches('"').to_owned())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an attribute leaves its item in the image.
fn is_built(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return true;
    };
    !list.path.is_ident("cfg") || holds(&list.parse_args().expect("a condition"))
}

fn holds(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        let separated = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
        list.parse_args_with(separated).expect("conditions")
    };
    match condition {
        Meta::Path(path) if path.is_ident("test") => false,
        Meta::NameValue(meta) if meta.path.is_ident("feature") => {
            let feature = meta.value.to_token_stream().to_string();
            FEATURES.contains(&feature.trim_matches('"'))
        }
        Meta::List(list) if list.path.is_ident("not") => !parts(list).iter().any(holds),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().all(holds),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().any(holds),
        other => panic!(
            "say here whether an image has what is under `{}`",
            other.to_token_stream()
        ),
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn add_item(
    module: &Module,
    item: &Item,
    types: &BTreeMap<String, Vec<Defined>>,
    private_traits: &BTreeSet<String>,
    names: &mut BTreeSet<String>,
) {
    match item {
        Item::Fn(item) if is_public(&item.vis) => {
            add_function(
                names,
                &format!("{}::{}", module.path, item.sig.ident),
                &item.sig,
            );
        }
        Item::Struct(item) if is_public(&item.vis) => {
            add_derives(names, &module.path, &item.ident.to_string(), &item.attrs);
        }
        Item::Enum(item) if is_public(&item.vis) => {
            add_derives(names, &module.path, &item.ident.to_string(), &item.attrs);
        }
        Item::Trait(item) if is_public(&item.vis) => {
            for inner in &item.items {
                let TraitItem::Fn(method) = inner else {
                    continue;
                };
                if method.default.is_some() && method.attrs.iter().all(is_built) {
                    names.insert(format!("<_ as {}>::{}", item.ident, method.sig.ident));
                }
            }
        }
        Item::Impl(item) => add_impl(module, item, types, private_traits, names),
        Item::Macro(item) => add_macro(module, item, names),
        _ => {}
    }
}

fn add_function(names: &mut BTreeSet<String>, path: &str, signature: &syn::Signature) {
    names.insert(path.to_owned());
    // What it returns has no name, and code of its own.
    let output = signature.output.to_token_stream().to_string();
    if output.contains("impl Iterator") {
        names.insert(format!("{path} (walked)"));
    }
}

fn add_derives(names: &mut BTreeSet<String>, module: &str, name: &str, attributes: &[Attribute]) {
    for attribute in attributes {
        let Meta::List(list) = &attribute.meta else {
            continue;
        };
        if !list.path.is_ident("derive") {
            continue;
        }
        let separated = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
        for derived in list.parse_args_with(separated).expect("traits") {
            let derived = derived.segments.last().expect("a name").ident.to_string();
            let method = match derived.as_str() {
                "Clone" => "clone",
                "Debug" => "fmt",
                "Default" => "default",
                "Deserialize" => "deserialize",
                "Hash" => "hash",
                "Ord" => "cmp",
                "PartialEq" => "eq",
                "PartialOrd" => "partial_cmp",
                "Serialize" => "serialize",
                "Copy" | "Eq" => continue,
                other => panic!("`{other}` is derived: say here what it makes"),
            };
            names.insert(format!("<{module}::{name} as {derived}>::{method}"));
        }
    }
}

fn add_impl(
    module: &Module,
    item: &syn::ItemImpl,
    types: &BTreeMap<String, Vec<Defined>>,
    private_traits: &BTreeSet<String>,
    names: &mut BTreeSet<String>,
) {
    let Some(receiver) = receiver(module, item, types) else {
        return;
    };
    let methods = item.items.iter().filter_map(|inner| match inner {
        ImplItem::Fn(method) if method.attrs.iter().all(is_built) => Some(method),
        _ => None,
    });
    match &item.trait_ {
        None => {
            let name = receiver.rsplit("::").next().unwrap_or(&receiver);
            for method in methods.filter(|method| is_public(&method.vis)) {
                let path = format!("{}::{name}::{}", module.path, method.sig.ident);
                add_function(names, &path, &method.sig);
            }
        }
        Some((_, path, _)) => {
            let trait_name = super::names::trait_name(&path.to_token_stream().to_string());
            // One for any type that converts into it: which one the image has is of no interest.
            let generic = |own: &syn::TypeParam| trait_name.ends_with(&format!("<{}>", own.ident));
            let trait_name = match item.generics.type_params().any(generic) {
                true => trait_name.split('<').next().unwrap_or_default().to_owned() + "<_>",
                false => trait_name,
            };
            if private_traits.contains(&trait_name) {
                return;
            }
            for method in methods {
                names.insert(format!(
                    "<{receiver} as {trait_name}>::{}",
                    method.sig.ident
                ));
            }
        }
    }
}

/// The full name of the type that an `impl` is for; `None` when it is not public.
fn receiver(
    module: &Module,
    item: &syn::ItemImpl,
    types: &BTreeMap<String, Vec<Defined>>,
) -> Option<String> {
    let parameter = |ident: &syn::Ident| item.generics.type_params().any(|own| own.ident == *ident);
    let path = match &*item.self_ty {
        Type::Path(path) => &path.path,
        Type::Reference(_) => return Some("&mut _".to_owned()),
        Type::Tuple(_) => return Some("()".to_owned()),
        _ => return None,
    };
    let ident = &path.segments.last()?.ident;
    if parameter(ident) {
        return Some("_".to_owned());
    }
    let name = ident.to_string();
    let found = types.get(&name).map_or(&[][..], Vec::as_slice);
    let chosen = match found {
        [] => return None,
        [only] => only,
        many => many
            .iter()
            .find(|one| one.module == module.path)
            .unwrap_or_else(|| panic!("{}: which `{name}`?", module.path)),
    };
    chosen.public.then(|| format!("{}::{name}", chosen.module))
}

fn add_macro(module: &Module, item: &syn::ItemMacro, names: &mut BTreeSet<String>) {
    let called = item.mac.path.to_token_stream().to_string();
    let mut known = MACROS.iter().filter(|(path, ..)| *path == module.path);
    if called == "macro_rules" {
        let defined = item.ident.as_ref().map(ToString::to_string);
        let text = item.mac.tokens.to_string();
        assert!(
            known.any(|(_, name, _)| Some(*name) == defined.as_deref())
                || !(text.contains("pub ") && text.contains("fn ")),
            "{}: `{}!` makes functions: say in MACROS which",
            module.path,
            defined.unwrap_or_default()
        );
    } else if let Some((.., made)) = known.find(|(_, name, _)| *name == called) {
        let named = type_of_call(&item.mac);
        for name in *made {
            names.insert(name.replace("Type", named.as_deref().unwrap_or("Type")));
        }
    }
}

/// The type that a macro's call names: the first name with a type in parentheses behind it.
fn type_of_call(call: &syn::Macro) -> Option<String> {
    let tokens: Vec<_> = call.tokens.clone().into_iter().collect();
    tokens.windows(2).find_map(|pair| match pair {
        [TokenTree::Ident(name), TokenTree::Group(group)]
            if group.delimiter() == Delimiter::Parenthesis =>
        {
            Some(name.to_string())
        }
        _ => None,
    })
}
