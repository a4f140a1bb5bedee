"""Codes of the operator's own certificate and key (`tls.cert`, `tls.key`)."""

from lkhub.findings.declare import Says, declare


@declare("certificate-unreadable", "error")
def certificate_unreadable(message: str) -> Says:
    """The file of `tls.cert` can't be read. The subject is `tls.cert`.

    **Why.** It is not there, or this user may not read it: certbot's folders are root's alone.

    **What to do.** Write the right path, run lkhub as root, or let its user read the file.
    """
    return Says(message)


@declare("certificate-not-pem", "error")
def certificate_not_pem(message: str) -> Says:
    """The file of `tls.cert` holds no certificate in PEM. The subject is `tls.cert`.

    **Why.** It is a key, a request, or a certificate in another form.

    **What to do.** Name the file that has `-----BEGIN CERTIFICATE-----`; the hint has the command that converts what
    is there.
    """
    return Says(message)


@declare("certificate-damaged", "error")
def certificate_damaged(message: str) -> Says:
    """The file of `tls.cert` holds a certificate that can't be read. The subject is `tls.cert`.

    **Why.** It was cut or changed on its way.

    **What to do.** Copy it anew from where it came from.
    """
    return Says(message)


@declare("key-unreadable", "error")
def key_unreadable(message: str) -> Says:
    """The file of `tls.key` can't be read. The subject is `tls.key`.

    **Why.** It is not there, or this user may not read it.

    **What to do.** Write the right path, run lkhub as root, or let its user read the file.
    """
    return Says(message)


@declare("key-not-pem", "error")
def key_not_pem(message: str) -> Says:
    """The file of `tls.key` holds no private key in PEM. The subject is `tls.key`.

    **Why.** It is a certificate, or a key in another form; perhaps `tls.cert` and `tls.key` are swapped.

    **What to do.** Name the file that has `-----BEGIN PRIVATE KEY-----`.
    """
    return Says(message)


@declare("key-encrypted", "error")
def key_encrypted(message: str) -> Says:
    """The key is encrypted with a password. The subject is `tls.key`.

    **Why.** Nobody is there to type it when the hub starts.

    **What to do.** Write an unencrypted copy that only the hub's user can read; the hint has the command.
    """
    return Says(message)


@declare("key-damaged", "error")
def key_damaged(message: str) -> Says:
    """The file of `tls.key` holds a key that can't be read. The subject is `tls.key`.

    **Why.** It was cut or changed on its way.

    **What to do.** Copy it anew from where it came from.
    """
    return Says(message)


@declare("key-of-another-certificate", "error")
def key_of_another_certificate(message: str) -> Says:
    """Key and certificate don't belong together. The subject is `tls.key`.

    **Why.** They are of two folders, or of two renewals.

    **What to do.** Take both from one folder, where they were issued together.
    """
    return Says(message)


@declare("certificate-no-san", "error")
def certificate_no_san(message: str) -> Says:
    """The certificate names no host as a subject alternative name. The subject is `tls.cert`.

    **Why.** Clients have stopped looking at the common name.

    **What to do.** Get a certificate with the hub's names as subject alternative names.
    """
    return Says(message)


@declare("certificate-wrong-name", "error")
def certificate_wrong_name(message: str) -> Says:
    """The certificate is for other names than the hub's. The subject is `tls.cert`.

    **Why.** Clients refuse a certificate that is not for the name that they called.

    **What to do.** Get one for the names that the message lists, or write the certificate's name as `domain`.
    """
    return Says(message)


@declare("certificate-not-for-servers", "error", warning="where it says nothing of its use")
def certificate_not_for_servers(message: str) -> Says:
    """The certificate is not for TLS servers. The subject is `tls.cert`.

    **Why.** `serverAuth` is not among its extended key usages. Where it names none at all, Apple's devices refuse it,
    and others accept it.

    **What to do.** Get a certificate for a TLS server.
    """
    return Says(message)


@declare("certificate-expired", "error")
def certificate_expired(message: str) -> Says:
    """The certificate, or one that issued it, has ended. The subject is `tls.cert`.

    **Why.** It was not renewed, or the new one was written elsewhere.

    **What to do.** Renew it and write it to the same files; a hub that runs takes it up by itself.
    """
    return Says(message)


@declare("certificate-not-yet-valid", "error")
def certificate_not_yet_valid(message: str) -> Says:
    """The certificate begins later than now. The subject is `tls.cert`.

    **Why.** The clock of this machine is wrong, or the one by which the certificate was made.

    **What to do.** See whether the clock is right: `timedatectl`.
    """
    return Says(message)


@declare("certificate-expires-soon", "warning")
def certificate_expires_soon(message: str) -> Says:
    """The certificate ends soon and should have been renewed. The subject is `tls.cert`.

    **Why.** Tools renew with a third of the lifetime left. With a sixth left, or two weeks, something keeps them from
    it.

    **What to do.** Renew it and write it to the same files; a hub that runs takes it up by itself.
    """
    return Says(message)


@declare("certificate-self-signed", "warning")
def certificate_self_signed(message: str) -> Says:
    """The certificate is signed by itself. The subject is `tls.cert`.

    **Why.** Each client refuses it until somebody tells it otherwise.

    **What to do.** Write `tls.mode: internal`: the hub then makes certificates under a root that devices can trust
    once.
    """
    return Says(message)


@declare("certificate-order", "error", warning="where the hub's own certificate is the first")
def certificate_order(message: str) -> Says:
    """The certificates in the file are not in order. The subject is `tls.cert`.

    **Why.** The hub's own has to be the first, and behind each the one that issued it. Some clients sort them, others
    refuse.

    **What to do.** Write them in that order; certbot's `fullchain.pem` has it.
    """
    return Says(message)


@declare("certificate-incomplete", "error", warning="where the issuer may be a root that clients know")
def certificate_incomplete(message: str) -> Says:
    """The file has the hub's certificate and not the one that issued it. The subject is `tls.cert`.

    **Why.** Browsers may fill the gap. Applications refuse such a chain.

    **What to do.** Name the file with the whole chain, `fullchain.pem` of certbot.
    """
    return Says(message)
