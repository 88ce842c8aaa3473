//! As whom the service asks a tenant's resource manager: `clouds.azure.tenants`.

use crate::spire::Import;
use crate::spire::hcl::Value;
use crate::spire::out::Node;
use crate::spire::settings::Settings;

/// Where the service's own credentials are.
const CREDENTIALS: [&str; 3] = ["clouds", "azure", "tenants"];

/// As whom a tenant's resource manager is asked.
pub(super) enum Who {
    /// An application, by its secret.
    Secret(String),
    /// An application, by a token in a file.
    Token(String, String),
    /// The identity of the machine: that with a client ID, or its own.
    Machine(Option<String>),
}

impl Who {
    /// By an application's ID and secret, or by nothing of the kind.
    pub(super) fn of_application(
        data: &mut Settings,
        (id, secret): (&str, &str),
        import: &mut Import,
    ) -> Self {
        let client = data.peek(id).map(ToOwned::to_owned);
        let on = data.take("use_msi", "clouds.azure.tenants: managedIdentity", import);
        match (client, data.has(secret)) {
            (Some(client), true) if on != Some(Value::Bool(true)) => {
                data.take(id, "clouds.azure.tenants: clientID", import);
                let reason = "a secret stands in a file of its own";
                let instead =
                    "write it into the file that clientSecretFile of clouds.azure.tenants names";
                data.leave(secret, reason, instead, import);
                Self::Secret(client)
            }
            (Some(client), false) if id == "client_id" => {
                data.take(id, "clouds.azure.tenants: clientID", import);
                Self::Machine(Some(client))
            }
            _ => {
                if on == Some(Value::Bool(true)) {
                    let reason = "use_msi says that it is the machine's own identity";
                    data.leave(id, reason, "", import);
                    data.leave(secret, reason, "", import);
                }
                Self::Machine(None)
            }
        }
    }

    /// By `secret_auth` or `token_auth`, or by nothing of the kind.
    pub(super) fn of_imds(data: &mut Settings, import: &mut Import) -> Self {
        let mut who = None;
        if let Some(mut block) = data.block("secret_auth") {
            if let Self::Secret(client) =
                Self::of_application(&mut block, ("app_id", "app_secret"), import)
            {
                who = Some(Self::Secret(client));
            }
            block.finish(import);
        }
        if let Some(mut block) = data.block("token_auth") {
            let half = |key| block.peek(key).map(ToOwned::to_owned);
            if let (Some(client), Some(file), None) = (half("app_id"), half("token_path"), &who) {
                block.take("app_id", "clouds.azure.tenants: clientID", import);
                block.take(
                    "token_path",
                    "clouds.azure.tenants: federatedTokenFile",
                    import,
                );
                who = Some(Self::Token(client, file));
            }
            block.finish(import);
        }
        who.unwrap_or(Self::Machine(None))
    }

    /// Puts it among the service's credentials, once for each tenant: what was there first stays.
    pub(super) fn grant(
        self,
        (tenant, environment): (&str, Option<&String>),
        secret: &str,
        service: &mut Node,
        import: &mut Import,
    ) {
        let mut entry = Node::map();
        entry.put(&["tenantID"], Node::Text(tenant.to_owned()));
        if let Some(environment) = environment {
            entry.put(&["environment"], Node::Text(environment.clone()));
        }
        let client = match &self {
            Self::Secret(client) | Self::Token(client, _) => Some(client),
            Self::Machine(client) => client.as_ref(),
        };
        if let Some(client) = client {
            entry.put(&["clientID"], Node::Text(client.clone()));
        }
        match self {
            Self::Secret(_) => entry.put(&["clientSecretFile"], Node::Text(secret.to_owned())),
            Self::Token(_, file) => entry.put(&["federatedTokenFile"], Node::Text(file)),
            Self::Machine(_) => {
                entry.put(&["managedIdentity"], Node::Plain("true".to_owned()));
                import.note(format!(
                    "clouds.azure.tenants: tenant {tenant} is asked as the identity of the service's own machine (managedIdentity); SPIRE looks for an application in its environment first"
                ));
            }
        }
        let id = Node::Text(tenant.to_owned());
        let is_there = match service.at(&CREDENTIALS) {
            Some(Node::List(all)) => all.iter().any(|one| one.at(&["tenantID"]) == Some(&id)),
            _ => false,
        };
        match is_there {
            false => service.push(&CREDENTIALS, entry),
            true => import.note(format!(
                "clouds.azure.tenants: tenant {tenant} is named by two plugins; it is asked as the first of them says"
            )),
        }
    }
}
