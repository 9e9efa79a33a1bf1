//! A token: found among those of a library, opened, and signed in to.

use std::path::Path;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Failure, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use crate::error::{Error, Reason, Result};
use crate::secret::Secret;
use crate::sign::pkcs11::uri::Uri;

/// A session with a token.
pub(super) struct Token {
    library: Pkcs11,
    slot: Slot,
    info: TokenInfo,
    pub(super) session: Session,
}

impl Token {
    /// Opens the one token that `uri` names.
    pub(super) fn open(uri: &Uri, module: &Path) -> Result<Self> {
        let library = load(module)?;
        let mut found = Vec::new();
        for slot in library
            .get_slots_with_token()
            .map_err(failed("list tokens"))?
        {
            let info = library
                .get_token_info(slot)
                .map_err(failed("describe a token"))?;
            if is_meant(uri, slot, &info) {
                found.push((slot, info));
            }
        }
        let (slot, info) = match (found.pop(), found.is_empty()) {
            (Some(one), true) => one,
            (None, _) => return Err(unknown(&format!("no token is `{uri}`"))),
            (Some(_), false) => return Err(unknown(&format!("several tokens are `{uri}`"))),
        };
        let session = library
            .open_ro_session(slot)
            .map_err(failed("open the token"))?;
        Ok(Self {
            library,
            slot,
            info,
            session,
        })
    }

    /// Signs in with what `pin` returns, once, and returns it for keys that want it every time;
    /// tokens with a keypad ask for it themselves.
    pub(super) fn sign_in(&self, pin: impl FnOnce() -> Result<Secret>) -> Result<Option<Secret>> {
        if !self.info.login_required() {
            return Ok(None);
        }
        let label = self.info.label();
        if self.info.user_pin_locked() {
            return Err(refused(&format!("the token {label:?} is locked")));
        }
        let pin = match self.info.protected_authentication_path() {
            true => None,
            false => Some(pin()?),
        };
        self.login(UserType::User, pin.as_ref())?;
        Ok(pin)
    }

    /// Shows the PIN to the token, once.
    pub(super) fn login(&self, user: UserType, pin: Option<&Secret>) -> Result<()> {
        let secret = pin.map(|pin| AuthPin::from(pin.expose().to_owned()));
        let label = self.info.label();
        match self.session.login(user, secret.as_ref()) {
            Ok(()) | Err(Failure::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Failure::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(refused(&format!("the token {label:?} refuses the PIN"))
                .hint("it was tried once; tokens lock after a few wrong ones")),
            Err(Failure::Pkcs11(RvError::PinLocked, _)) => {
                Err(refused(&format!("the token {label:?} is locked")))
            }
            Err(Failure::Pkcs11(RvError::PinExpired | RvError::UserPinNotInitialized, _)) => Err(
                refused(&format!("the token {label:?} wants a new PIN to be set")),
            ),
            Err(error) => Err(failed("sign in to the token")(error)),
        }
    }

    /// Whether the token knows `mechanism`.
    pub(super) fn knows(&self, mechanism: MechanismType) -> Result<bool> {
        let known = self.library.get_mechanism_list(self.slot);
        let known = known.map_err(failed("list what the token can do"))?;
        Ok(known.contains(&mechanism))
    }

    /// Returns every object that fits `template`.
    pub(super) fn objects(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>> {
        self.session
            .find_objects(template)
            .map_err(failed("search the token"))
    }

    /// Returns those of an object's attributes that the token tells.
    pub(super) fn attributes(
        &self,
        object: ObjectHandle,
        kinds: &[AttributeType],
    ) -> Result<Vec<Attribute>> {
        self.session
            .get_attributes(object, kinds)
            .map_err(failed("read an object of the token"))
    }
}

fn load(module: &Path) -> Result<Pkcs11> {
    let library = Pkcs11::new(module).map_err(|error| {
        let message = format!("`{}` is no PKCS #11 library", module.display());
        Error::new(Reason::KeyInvalid, message).because(error).hint(
            "name the library of the token's vendor: `module-path` in the URI, or \
             MODELCTL_PKCS11_MODULE",
        )
    })?;
    let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match library.initialize(threads) {
        // Another part of this process uses the same library.
        Ok(()) | Err(Failure::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(library),
        Err(error) => Err(failed("start the PKCS #11 library")(error)),
    }
}

fn is_meant(uri: &Uri, slot: Slot, info: &TokenInfo) -> bool {
    let fits =
        |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    info.token_initialized()
        && uri.slot.is_none_or(|wanted| wanted == slot.id())
        && fits(&uri.token, info.label())
        && fits(&uri.serial, info.serial_number())
        && fits(&uri.manufacturer, info.manufacturer_id())
        && fits(&uri.model, info.model())
}

/// Returns an error about a name that fits nothing, or too much.
pub(super) fn unknown(message: &str) -> Error {
    Error::new(Reason::KeyInvalid, message)
        .hint("`pkcs11-tool --module MODULE --list-token-slots --list-objects` shows what there is")
}

fn refused(message: &str) -> Error {
    Error::new(Reason::TokenRefused, message)
}

/// Names what a token failed to do.
pub(super) fn failed(action: &str) -> impl FnOnce(Failure) -> Error {
    let message = format!("cannot {action}");
    move |error| Error::new(Reason::TokenFailed, message).because(error)
}
