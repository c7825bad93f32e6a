//! Relative paths in a configuration start at its file's folder.

use std::path::{Path, PathBuf};

use super::{Config, GroupSettings};
use crate::hook::HookSettings;
use crate::tls::{CertificateSettings, Roots};

impl Config {
    /// Makes relative paths start at `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let whole = |path: &mut PathBuf| *path = folder.join(&path);
        if let Some(file) = self.admin.as_mut().and_then(|admin| admin.token_file.as_mut()) {
            whole(file);
        }
        if let Some(authority) = &mut self.authority {
            whole(&mut authority.directory);
        }
        if let Some(recordings) = &mut self.policy.recordings {
            whole(&mut recordings.directory);
        }
        if let Some(tracing) = &mut self.tracing {
            tracing.headers_file.as_mut().map(whole);
            if let Roots::File(file) = &mut tracing.roots {
                whole(file);
            }
        }
        resolve_parts(self.groups.iter_mut(), self.hooks.iter_mut(), folder);
        for listener in &mut self.listeners {
            if let Some(clients) = &mut listener.clients {
                whole(clients);
            }
            let pairs = match &mut listener.certificate {
                Some(CertificateSettings::Files(pair)) => std::slice::from_mut(pair),
                Some(CertificateSettings::List(pairs)) => pairs.as_mut_slice(),
                Some(CertificateSettings::Mint(_)) | None => &mut [],
            };
            for pair in pairs {
                whole(&mut pair.chain);
                whole(&mut pair.key);
            }
        }
        for upstream in &mut self.upstreams {
            if let Roots::File(file) = &mut upstream.roots {
                whole(file);
            }
        }
    }
}

/// Makes relative paths of what may stand in included files start at `folder`.
pub(super) fn resolve_parts<'a>(
    groups: impl Iterator<Item = &'a mut GroupSettings>,
    hooks: impl Iterator<Item = &'a mut HookSettings>,
    folder: &Path,
) {
    for file in groups.filter_map(|group| group.file.as_mut()) {
        *file = folder.join(&file);
    }
    for hook in hooks {
        if let Roots::File(file) = &mut hook.roots {
            *file = folder.join(&file);
        }
    }
}
