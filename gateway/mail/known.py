"""Header fields that programs write for programs: what they hold is no sentence of a person.

Promises: a field that is not listed may hold words, and is read as such and taken out with the subject. RFC 5322 3.6,
RFC 4021 (mail and MIME fields), RFC 2369 and 2919 (lists), RFC 8058, RFC 8601, RFC 8617 (authentication).
"""

from __future__ import annotations

_NAMES = frozenset(
    "return-path received delivered-to x-original-to x-envelope-from x-envelope-to envelope-to received-spf "
    "authentication-results authentication-results-original dkim-signature domainkey-signature bimi-indicator "
    "bimi-location bimi-selector "
    "from to cc bcc sender reply-to date subject message-id in-reply-to references thread-index thread-topic "
    "comments keywords apparently-to errors-to mail-followup-to mail-reply-to return-receipt-to followup-to "
    "resent-from resent-to resent-cc resent-bcc resent-sender resent-reply-to resent-date resent-message-id "
    "mime-version content-type content-transfer-encoding content-disposition content-id content-description "
    "content-language content-location content-base content-md5 content-length content-class content-duration "
    "content-features content-alternative lines status x-status x-mozilla-keys x-mozilla-status x-mozilla-status2 "
    "x-mozilla-draft-info x-account-key x-identity-key x-uid x-uidl x-keywords x-evolution-source "
    "importance priority x-priority sensitivity expires expiry-date reply-by supersedes precedence auto-submitted "
    "x-auto-response-suppress autoforwarded disposition-notification-to disposition-notification-options "
    "original-recipient original-message-id language accept-language acceptlanguage user-agent x-mailer "
    "x-newsreader x-mimeole x-mime-autoconverted x-sender x-x-sender x-face face openpgp autocrypt feedback-id "
    "x-feedback-id x-report-abuse x-report-abuse-to x-csa-complaints x-abuse-reports-to x-complaints-to x-loop "
    "x-beenthere x-been-there x-mailman-version x-mailing-list x-list x-ml-name x-sequence x-no-archive archived-at "
    "x-virus-scanned x-virus-status x-has-attach x-tnef-correlator x-entity-ref-id x-entity-id x-eopattributedmessage "
    "x-pgp-universal x-received x-authenticated-sender x-authentication-warning x-sg-eid x-sg-id x-ses-outgoing "
    "x-mandrill-user x-cron-env tls-required require-recipient-valid-since sealgate-trace sealgate-checkpoint "
    "sealgate-original-dkim-signature "
    "x-cmae-envelope x-cloudmark-score x-clx-shades x-clx-response x-me-sender x-me-proxy x-me-proxy-cause x-sasl-enc "
    "x-source x-source-args x-source-dir x-provags-id x-ui-out-filterresults x-rcpt-to x-aol-ip x-accept-language "
    "x-antiabuse x-get-message-sender-via x-original-from x-original-message-id x-pm-message-id".split()
)
_STARTS = tuple(
    (
        "arc- list- x-originating- x-ms- x-microsoft- x-exchange- x-forefront- x-google- x-gm- x-gmail- x-apple- "
        "x-yahoo- x-ymail- x-spam x-barracuda- x-proofpoint- x-mimecast- x-ironport- x-amz- x-ses- x-mailgun- "
        "x-mailchimp- x-mc- x-sendgrid- x-postmark- x-zoho x-zm- x-qq- x-ovh- x-rspamd- x-amavis- x-clamav- "
        "x-sophos- x-fireeye- x-cisco- x-trend- x-tm- x-fe- x-pp- x-hm- x-mailman- x-thread- x-authority- "
        "x-outgoing- x-mail-rfc- x-github- x-gitlab- x-bugzilla- x-jira- x-notes- x-lotus- x-mozilla- x-kmail- "
        "x-evolution- x-egroups- x-aol- "
    ).split()
)

#: Fields of addresses, each of which may carry a name for people.
ADDRESS_FIELDS = frozenset(
    "from to cc bcc sender reply-to apparently-to errors-to mail-followup-to mail-reply-to return-receipt-to "
    "followup-to resent-from resent-to resent-cc resent-bcc resent-sender resent-reply-to "
    "disposition-notification-to".split()
)


def structural(name: str) -> bool:
    """Whether a field of that name (any case) is of the kinds above."""
    lower = name.lower()
    return lower in _NAMES or lower.startswith(_STARTS)
