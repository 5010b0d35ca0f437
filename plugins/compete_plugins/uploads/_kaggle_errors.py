"""What a failed request to Kaggle means, and what the user can do about it."""

from __future__ import annotations

from compete import AccessError, BusyError, PlatformError, UnreachableError

from ._child import ChildFailure

SITE = "https://www.kaggle.com"
TOKEN_HELP = (
    f"Create an API token at {SITE}/settings and put it in the file ~/.kaggle/access_token, "
    "or in the variable KAGGLE_API_TOKEN."
)


def explain(failure: ChildFailure) -> Exception:
    """Return the error that tells the user what to do about a failure, whatever the competition."""
    message, sent = failure.message, failure.sent
    match failure.kind:
        case "http":
            return _explain_http(failure)
        case "missing":
            return AccessError(
                f"Kaggle needs the Python package '{message}', which is not installed: pip install 'compete[kaggle]'"
            )
        case "no credentials":
            return AccessError(f"You are not signed in to Kaggle. {TOKEN_HELP}")
        case "stale":
            return AccessError(
                f"Kaggle does not accept the credentials from {message}: mistyped, expired or revoked. "
                f"They take precedence over any others. Replace or remove them. {TOKEN_HELP}"
            )
        case "home":
            return AccessError(
                f"Kaggle's package needs a folder for its settings, but {message}. "
                "Set HOME, or KAGGLE_CONFIG_DIR, to a folder that you can write."
            )
        case "certificate":
            return AccessError(
                f"The certificate of Kaggle's server cannot be checked ({message}). Behind a proxy that decrypts "
                "traffic, set REQUESTS_CA_BUNDLE to the file with its certificate; elsewhere, unset it."
            )
        case "disk":
            return PlatformError(f"{message}. Free up space, or choose another folder, and repeat the command.")
        case "silent":
            return UnreachableError(f"Kaggle is silent: {message}", silent=True, sent=sent)
        case "proxy":
            return UnreachableError(f"Kaggle cannot be reached through the proxy {message}", sent=sent)
        case "offline":
            return UnreachableError(f"Kaggle cannot be reached: {message}", sent=sent)
        case "odd":
            return UnreachableError(_foreign(message), sent=sent)
        case "fault":
            return UnreachableError(f"Kaggle's package did not understand the answer ({message})", sent=sent)
        case "died":
            how = f" with {message}" if message else ""
            return UnreachableError(f"the process of Kaggle's package ended{how}", sent=sent)
    return UnreachableError("the connection to Kaggle broke" + (f" ({message})" if message else ""), sent=sent)


def _explain_http(failure: ChildFailure) -> Exception:
    code, message = failure.code, failure.message
    silent = code in {408, 504}  # a gateway that gave up waiting does not stop what it waited for
    if code == 407:
        return AccessError("The proxy wants a name and a password: HTTPS_PROXY=http://name:password@host:port")
    if code == 429:
        return BusyError("Kaggle asks to slow down", failure.wait_seconds)
    if failure.foreign:
        return UnreachableError(_foreign(f"{failure.foreign} ({code} {message})"), silent=silent, sent=failure.sent)
    if silent or code >= 500:
        return UnreachableError(f"Kaggle's server failed ({code} {message})", silent=silent, sent=failure.sent)
    return PlatformError(f"Kaggle refused: {message} ({code})")


def _foreign(answer: str) -> str:
    return f"not Kaggle answered but a proxy, a network that wants a login, or a failing server: {answer}"
