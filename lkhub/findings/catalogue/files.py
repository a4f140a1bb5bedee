"""Codes of the operator's own certificate and key (`tls.cert`, `tls.key`)."""

from lkhub.findings.declare import Says, declare


@declare("certificate-unreadable", "error")
def certificate_unreadable(message: str) -> Says:
    """The file of `tls.cert` can't be read. The subject is `tls.cert`.

    **Why.** It is not there, or this user may not read it: only root may read certbot's folders.

    **What to do.** Write the right path, run lkhub as root, or let its user read the file.
    """
    return Says(message)


@declare("certificate-not-pem", "error")
def certificate_not_pem(message: str) -> Says:
    """The file of `tls.cert` holds no certificate in PEM. The subject is `tls.cert`.

    **Why.** The file holds a key, a certificate request, or a certificate in another form.

    **What to do.** Name the file that has `-----BEGIN CERTIFICATE-----`; the hint has the command that converts another
    form.
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

    **Why.** The file holds a certificate, or a key in another form; perhaps `tls.cert` and `tls.key` are swapped.

    **What to do.** Name the file that has `-----BEGIN PRIVATE KEY-----`.
    """
    return Says(message)


@declare("key-encrypted", "error")
def key_encrypted(message: str) -> Says:
    """The key is encrypted with a password. The subject is `tls.key`.

    **Why.** When the hub starts, nobody is there to type the password.

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

    **Why.** They come from two folders, or from two renewals.

    **What to do.** Take both from one folder, where they were issued together.
    """
    return Says(message)


@declare("certificate-no-san", "error")
def certificate_no_san(message: str) -> Says:
    """The certificate names no host as a subject alternative name. The subject is `tls.cert`.

    **Why.** Clients no longer use a certificate's common name.

    **What to do.** Get a certificate with the hub's names as subject alternative names.
    """
    return Says(message)


@declare("certificate-wrong-name", "error")
def certificate_wrong_name(message: str) -> Says:
    """The certificate is for other names than the hub's. The subject is `tls.cert`.

    **Why.** Clients refuse a certificate that is not for the name that they called.

    **What to do.** Get a certificate for the names that the message lists, or write the certificate's name as `domain`.
    """
    return Says(message)


@declare("certificate-not-for-servers", "error", warning="where it names no use at all")
def certificate_not_for_servers(message: str) -> Says:
    """The certificate is not for TLS servers. The subject is `tls.cert`.

    **Why.** `serverAuth` is not among its extended key usages. Where the certificate names no such usage at all,
    Apple's devices refuse it, and others accept it.

    **What to do.** Get a certificate for a TLS server.
    """
    return Says(message)


@declare("certificate-expired", "error")
def certificate_expired(message: str) -> Says:
    """The certificate, or one in its chain, has expired. The subject is `tls.cert`.

    **Why.** It was not renewed, or the new one was written elsewhere.

    **What to do.** Renew it and write it to the same files; a hub that runs takes it up by itself.
    """
    return Says(message)


@declare("certificate-not-yet-valid", "error")
def certificate_not_yet_valid(message: str) -> Says:
    """The certificate is not valid yet. The subject is `tls.cert`.

    **Why.** The clock of this machine is wrong, or the clock of the machine that made the certificate was.

    **What to do.** See whether the clock is right: `timedatectl`.
    """
    return Says(message)


@declare("certificate-expires-soon", "warning")
def certificate_expires_soon(message: str) -> Says:
    """The certificate expires soon and should have been renewed. The subject is `tls.cert`.

    **Why.** Tools renew a certificate when a third of its lifetime is left. If only a sixth is left, or two weeks,
    something keeps them from it.

    **What to do.** Renew it and write it to the same files; a hub that runs takes it up by itself.
    """
    return Says(message)


@declare("certificate-self-signed", "warning")
def certificate_self_signed(message: str) -> Says:
    """The certificate is signed by itself. The subject is `tls.cert`.

    **Why.** Every client refuses it until it is told to trust this very certificate.

    **What to do.** Write `tls.mode: internal`: the hub then makes certificates under a root, which a device has to
    trust only once.
    """
    return Says(message)


@declare("certificate-order", "error", warning="where the hub's own certificate comes first")
def certificate_order(message: str) -> Says:
    """The certificates in the file are not in order. The subject is `tls.cert`.

    **Why.** The hub's own certificate has to come first, and after each certificate the one of its issuer. Some clients
    sort them, others refuse.

    **What to do.** Write them in that order; certbot's `fullchain.pem` has it.
    """
    return Says(message)


@declare("certificate-incomplete", "error", warning="where the issuer may be a root that clients know")
def certificate_incomplete(message: str) -> Says:
    """The file has the hub's certificate, but not its issuer's. The subject is `tls.cert`.

    **Why.** Browsers may fetch the issuer's certificate by themselves. Applications refuse such a chain.

    **What to do.** Name the file with the whole chain; certbot calls it `fullchain.pem`.
    """
    return Says(message)
