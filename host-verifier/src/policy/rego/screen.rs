//! Looks through a parsed module before it is used: everything that it calls is its own or on the list, and no evaluation
//! can run out of stack.
//!
//! # Why nesting is counted over the whole module
//!
//! The interpreter evaluates a rule where another refers to it, on the same stack. At worst every rule stands at the deepest
//! point of the one before, so what the stack must hold is the sum of all depths, not the largest. It finds rules that
//! stand on themselves, but not functions that do.

use core::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Parser, Query, Ref, Rule, RuleHead};

use super::{MAX_NESTING, MAX_RULES, ModuleError, builtins};

/// What a query costs beside the expressions in it.
const QUERY: usize = 3;

/// The names of a module's rules, without its package.
pub(super) struct Rules {
    all: BTreeSet<String>,
    functions: BTreeSet<String>,
}

impl Rules {
    /// Whether there is a rule of this name that is not a function.
    pub(super) fn has_value(&self, name: &str) -> bool {
        self.all.contains(name) && !self.functions.contains(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(String::as_str)
    }
}

/// Refuses a module that calls what it may not; `package` is `data.…`.
pub(super) fn screen(module: &Module, package: &str) -> Result<Rules, ModuleError> {
    if module.policy.len() > MAX_RULES {
        return Err(ModuleError {
            line: 0,
            column: 0,
            message: format!("more than {MAX_RULES} rules"),
            hint: "put what does not belong together into policies of their own".to_owned(),
        });
    }
    let mut rules = Rules {
        all: BTreeSet::new(),
        functions: BTreeSet::new(),
    };
    for rule in &module.policy {
        let (head, function) = match rule.as_ref() {
            Rule::Spec { head, .. } => match head {
                RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } => (refr, false),
                RuleHead::Func { refr, .. } => (refr, true),
            },
            Rule::Default { refr, args, .. } => (refr, !args.is_empty()),
        };
        // `p.q[x]` is part of `p`, and of `p.q`.
        let Some(path) = path(leading(head)) else {
            continue;
        };
        let mut prefix = String::new();
        for part in path.split('.') {
            if !prefix.is_empty() {
                prefix.push('.');
            }
            prefix.push_str(part);
            rules.all.insert(prefix.clone());
        }
        if function {
            rules.functions.insert(path);
        }
    }
    let mut nesting = 0_usize;
    let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in &module.policy {
        let screen = Screen {
            rules: &rules,
            package,
            depth: Cell::new(0),
            deepest: Cell::new(0),
            called: RefCell::default(),
        };
        screen.rule(rule)?;
        nesting = nesting.saturating_add(screen.deepest.get());
        if nesting > MAX_NESTING {
            return Err(ModuleError {
                line: rule.span().line,
                column: rule.span().col,
                message: "rules nested too deep, all together".to_owned(),
                hint: "put what does not belong together into policies of their own".to_owned(),
            });
        }
        if let Rule::Spec {
            head: RuleHead::Func { refr, .. },
            ..
        } = rule.as_ref()
            && let Some(name) = path(refr)
        {
            calls
                .entry(name)
                .or_default()
                .append(&mut screen.called.borrow_mut());
        }
    }
    match recursive(&calls) {
        None => Ok(rules),
        Some(name) => Err(ModuleError {
            line: 0,
            column: 0,
            message: format!("function `{name}` calls itself, at last"),
            hint: "a module must end: write it without recursion".to_owned(),
        }),
    }
}

/// A function that can be reached from itself: what is left when those that call none of the left are taken out, again and
/// again.
fn recursive(calls: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let mut left: BTreeSet<&String> = calls.keys().collect();
    loop {
        let keeps = |name: &&String| {
            let called = calls.get(*name);
            called.is_some_and(|called| called.iter().any(|other| left.contains(other)))
        };
        let next: BTreeSet<&String> = left.iter().copied().filter(keeps).collect();
        if next.len() == left.len() {
            return left.first().map(|name| (*name).clone());
        }
        left = next;
    }
}

/// The part of a reference before its first bracket.
fn leading(refr: &Ref<Expr>) -> &Ref<Expr> {
    match refr.as_ref() {
        Expr::RefBrack { refr, .. } => leading(refr),
        _ => refr,
    }
}

fn path(refr: &Ref<Expr>) -> Option<String> {
    let parts = Parser::get_path_ref_components(refr).ok()?;
    let parts: Vec<_> = parts.iter().map(|part| part.text().to_owned()).collect();
    Some(parts.join("."))
}

type Screened = Result<(), ModuleError>;

struct Screen<'a> {
    rules: &'a Rules,
    package: &'a str,
    depth: Cell<usize>,
    deepest: Cell<usize>,
    /// The module's functions that the rule calls.
    called: RefCell<BTreeSet<String>>,
}

impl Screen<'_> {
    fn rule(&self, rule: &Ref<Rule>) -> Screened {
        match rule.as_ref() {
            Rule::Default {
                refr, args, value, ..
            } => {
                self.expr(refr)?;
                self.exprs(args)?;
                self.expr(value)
            }
            Rule::Spec { head, bodies, .. } => {
                match head {
                    RuleHead::Compr { refr, assign, .. } => {
                        self.expr(refr)?;
                        assign.iter().try_for_each(|a| self.expr(&a.value))?;
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.expr(refr)?;
                        key.iter().try_for_each(|key| self.expr(key))?;
                    }
                    RuleHead::Func {
                        refr, args, assign, ..
                    } => {
                        self.expr(refr)?;
                        self.exprs(args)?;
                        assign.iter().try_for_each(|a| self.expr(&a.value))?;
                    }
                }
                bodies.iter().try_for_each(|body| {
                    body.assign.iter().try_for_each(|a| self.expr(&a.value))?;
                    self.query(&body.query)
                })
            }
        }
    }

    /// Looks into something that the interpreter calls itself for.
    fn within(&self, levels: usize, look: impl FnOnce(&Self) -> Screened) -> Screened {
        let depth = self.depth.get();
        self.depth.set(depth.saturating_add(levels));
        self.deepest.set(self.deepest.get().max(self.depth.get()));
        let result = look(self);
        self.depth.set(depth);
        result
    }

    fn query(&self, query: &Ref<Query>) -> Screened {
        self.within(QUERY, |screen| {
            let mut statements = query.stmts.iter();
            statements.try_for_each(|statement| screen.statement(statement))
        })
    }

    fn statement(&self, stmt: &LiteralStmt) -> Screened {
        for modifier in &stmt.with_mods {
            self.expr(&modifier.refr)?;
            self.expr(&modifier.r#as)?;
            // `with f as rand.intn` puts a function in place of another.
            if let Some(name) = path(&modifier.r#as)
                && builtins::is_known(&name)
            {
                self.call(&name, &modifier.r#as)?;
            }
        }
        match &stmt.literal {
            Literal::SomeVars { .. } => Ok(()),
            Literal::SomeIn {
                key,
                value,
                collection,
                ..
            } => {
                key.iter().try_for_each(|key| self.expr(key))?;
                self.expr(value)?;
                self.expr(collection)
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
            Literal::Every { domain, query, .. } => {
                self.expr(domain)?;
                self.query(query)
            }
        }
    }

    fn exprs(&self, exprs: &[Ref<Expr>]) -> Screened {
        exprs.iter().try_for_each(|expr| self.expr(expr))
    }

    fn expr(&self, expr: &Ref<Expr>) -> Screened {
        self.within(1, |screen| screen.parts(expr))
    }

    fn parts(&self, expr: &Ref<Expr>) -> Screened {
        match expr.as_ref() {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::Var { .. } => Ok(()),
            Expr::Array { items, .. } | Expr::Set { items, .. } => self.exprs(items),
            Expr::Object { fields, .. } => fields.iter().try_for_each(|(_, key, value)| {
                self.expr(key)?;
                self.expr(value)
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.expr(term)?;
                self.query(query)
            }
            Expr::ObjectCompr {
                key, value, query, ..
            } => {
                self.expr(key)?;
                self.expr(value)?;
                self.query(query)
            }
            Expr::Call { fcn, params, .. } => {
                match path(fcn) {
                    Some(name) => self.call(&name, fcn)?,
                    None => {
                        return Err(refused(
                            fcn,
                            "a call of something without a name",
                            "name the function",
                        ));
                    }
                }
                self.exprs(params)
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::RefDot { refr, .. } => self.expr(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.expr(refr)?;
                self.expr(index)
            }
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs)?;
                self.expr(rhs)
            }
            Expr::Membership {
                key,
                value,
                collection,
                ..
            } => {
                key.iter().try_for_each(|key| self.expr(key))?;
                self.expr(value)?;
                self.expr(collection)
            }
        }
    }

    fn call(&self, name: &str, at: &Ref<Expr>) -> Screened {
        let own = name.strip_prefix(self.package);
        let own = own.and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
        if self.rules.functions.contains(own) {
            self.called.borrow_mut().insert(own.to_owned());
            return Ok(());
        }
        match builtins::refusal(name) {
            None => Ok(()),
            Some((message, hint)) => Err(refused(at, &message, &hint)),
        }
    }
}

/// Where a reference begins: the place of `a.b` is that of its dot.
fn first(refr: &Ref<Expr>) -> &Ref<Expr> {
    match refr.as_ref() {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => first(refr),
        _ => refr,
    }
}

fn refused(at: &Ref<Expr>, message: &str, hint: &str) -> ModuleError {
    let span = first(at).span();
    ModuleError {
        line: span.line,
        column: span.col,
        message: message.to_owned(),
        hint: hint.to_owned(),
    }
}
