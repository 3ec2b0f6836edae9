"""The root key in AWS KMS: a symmetric key that never leaves it, named by its ARN or an alias.

A wrap is the CiphertextBlob of KMS ``Encrypt``, with the context as the encryption context; KMS records every use. The
check value comes from the key's ARN, which is never given twice, so an alias that leads to another key is refused by
name. Promises: the key that opens is the one that was named, never one that the ciphertext names; no answer's text is
repeated. Rights needed: kms:Encrypt, kms:Decrypt, kms:DescribeKey on that key. DESIGN §4a (Root KEK); FORMAT §11.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from keys.encoding import lp
from keys.errors import Tampered, Unavailable, Unusable
from keys.providers import register
from keys.providers._private import read_private

CONTEXT = "sealgate"
_SECONDS = 5
_EXTRA = 'its library is missing; install Sealgate with it: pip install "sealgate[aws]"'
_NO_CREDENTIAL = frozenset({
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch",
    "IncompleteSignature", "MissingAuthenticationToken", "AuthFailure", "InvalidAccessKeyId", "401", "403",
})  # fmt: skip
_EXPIRED = frozenset({"ExpiredTokenException", "ExpiredToken", "RequestExpired"})
_NO_RIGHT = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized"})
_NO_KEY = frozenset({"NotFoundException", "InvalidArnException"})
_UNFIT = frozenset({"DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException"})
_CHANGED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


@register("aws-kms")
class AwsKmsProvider:
    """The port over one key of KMS. boto3's clients may be used by several threads."""

    __slots__ = ("_client", "_values", "arn", "check_value", "name")
    local: ClassVar[bool] = False
    NEEDS: ClassVar[tuple[str, ...]] = ("aws_key", "aws_region")
    MAY: ClassVar[tuple[str, ...]] = ("aws_endpoint", "aws_credentials_file")

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        self.name = f"aws-kms {values['aws_key']}"
        self._client = _client(values)
        described = self._call("describe_key", KeyId=values["aws_key"])["KeyMetadata"]
        self.arn = str(described["Arn"])
        if described.get("KeyState") != "Enabled":
            raise Unusable(f"{self.name}: the key is not enabled; enable it again in KMS (cancel its deletion first)")
        if described.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
            raise Unusable(f"{self.name}: [keys] aws_key must name a symmetric key for encryption")
        self.check_value = hashlib.sha256(lp("sealgate/kek-check/v1", self.arn)).hexdigest()[:16]

    @classmethod
    def opened(cls, values: Mapping[str, str], *, create: bool, secret: bytes | None) -> AwsKmsProvider:
        """The key of that name; never made here. Raises Unusable, Unavailable."""
        return cls(values)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        answer = self._call("encrypt", KeyId=self.arn, Plaintext=key, EncryptionContext=_context(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if not 1 <= len(wrapped) <= 6144:  # KMS takes no other
            raise Tampered("a wrapped key has an unknown form")
        answer = self._call("decrypt", KeyId=self.arn, CiphertextBlob=wrapped, EncryptionContext=_context(context))
        return bytes(answer["Plaintext"])

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        from botocore import exceptions as aws

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except aws.ClientError as error:
            said = self._said(str(error.response.get("Error", {}).get("Code", "")))
            # A ciphertext that names a key of nobody's is answered like one that we have no right to.
            if operation == "decrypt" and isinstance(said, Unusable) and self._alive():
                said = Tampered("a wrapped key does not open")
            raise said from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError):
            raise Unusable(f"{self.name}: {_where(self._values)}") from None
        except (aws.BotoCoreError, OSError) as error:
            raise Unavailable(f"{self.name}: KMS does not answer ({type(error).__name__})") from None
        return answer

    def _alive(self) -> bool:
        """Whether a ciphertext of our own making opens."""
        try:
            probe = self.wrap(bytes(16), b"probe")
            plain = self._client.decrypt(KeyId=self.arn, CiphertextBlob=probe, EncryptionContext=_context(b"probe"))
            return bytes(plain["Plaintext"]) == bytes(16)
        except Exception:
            return False

    def _said(self, code: str) -> Unusable | Unavailable | Tampered:
        """What an error code of KMS means for whoever runs this."""
        code = code.rpartition("#")[2]
        word = code if code.isalnum() else "unknown"
        if code in _CHANGED:
            return Tampered("a wrapped key does not open")
        if code in _NO_CREDENTIAL:
            return Unusable(f"{self.name}: AWS does not know the credential ({word}); {_where(self._values)}")
        if code in _EXPIRED:
            return Unusable(f"{self.name}: the credential has expired ({word}); {_where(self._values)}")
        if code in _NO_RIGHT:
            return Unusable(
                f"{self.name}: the credential has no right to this key ({word}); allow it kms:Encrypt, kms:Decrypt and "
                "kms:DescribeKey in the key's policy or by IAM"
            )
        if code in _NO_KEY:
            return Unusable(f"{self.name}: there is no such key in region {self._values['aws_region']} ({word})")
        if code in _UNFIT:
            return Unusable(f"{self.name}: the key is disabled or about to be deleted ({word}); enable it in KMS")
        return Unavailable(f"{self.name}: KMS could not do this now ({word})")


def _client(values: Mapping[str, str]) -> Any:
    """A client of KMS with the credential that was named, or else the machine's own role."""
    try:
        import boto3
        import botocore.config
    except ImportError as error:
        raise Unusable(f"provider aws-kms: {_EXTRA}") from error
    given: dict[str, str] = {}
    if values.get("aws_credentials_file"):
        given = _credential(values["aws_credentials_file"])
    config = botocore.config.Config(
        region_name=values["aws_region"], connect_timeout=_SECONDS, read_timeout=_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    )  # fmt: skip
    try:
        return boto3.session.Session(**given).client(
            "kms", config=config, endpoint_url=values.get("aws_endpoint") or None
        )
    except Exception as error:  # a region or an address that botocore cannot read, in as many classes
        raise Unusable(
            f"provider aws-kms: [keys] aws_region or aws_endpoint is wrong ({type(error).__name__})"
        ) from None


def _credential(path: str) -> dict[str, str]:
    """Access key and secret of a file as the AWS CLI writes it. Raises Unusable."""
    import configparser

    text = read_private(
        path, "the AWS credential", "write the access key into it as the AWS CLI does, and: chmod 0400"
    ).decode("utf-8", "replace")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        section = parser["default"]
        given = {
            "aws_access_key_id": section["aws_access_key_id"],
            "aws_secret_access_key": section["aws_secret_access_key"],
        }
    except (configparser.Error, KeyError):
        raise Unusable(
            f"{path}: this is no AWS credential; it reads [default], aws_access_key_id = …, aws_secret_access_key = …"
        ) from None
    if section.get("aws_session_token"):
        given["aws_session_token"] = section["aws_session_token"]
    return given


def _where(values: Mapping[str, str]) -> str:
    if values.get("aws_credentials_file"):
        return f"write a valid access key into {values['aws_credentials_file']} ([keys] aws_credentials_file)"
    return (
        "give this machine a role with rights to the key, or name a file with an access key in [keys] "
        f"aws_credentials_file{' (AWS_PROFILE is set)' if os.environ.get('AWS_PROFILE') else ''}"
    )


def _context(context: bytes) -> dict[str, str]:
    """KMS takes text and writes it into its own log; ours holds names of uses and ids only."""
    return {CONTEXT: context.hex()}
