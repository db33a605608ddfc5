"""Every exception Holdfast raises on purpose.

A message says what was asked, what was found and what to do. It names ids and sizes, never
stored content. Leaves also subclass the built-in a caller would expect::

    HoldfastError
    ├── ArgumentsError (ValueError)         arguments that an operation cannot take
    ├── InvalidEventError (ValueError)      an event that breaks a rule of its record
    │   └── EventTooLargeError              its content is over the limit, which is named
    ├── InvalidClaimError (ValueError)      a claim that breaks a rule of its record
    ├── IdempotencyError (ValueError)       a known key came back with another body
    ├── ConflictError (ValueError)          a document is at another version than expected
    ├── PatchError (ValueError)             a patch that cannot be applied to its document
    ├── TransitionError (ValueError)        an automaton has no such transition from its state
    ├── AccessError (PermissionError)       a principal without the right that this needs
    ├── CredentialError (PermissionError)   no credential, or none that holds
    ├── AuditError (ValueError)             a proof or signature that does not hold
    ├── BudgetError (ValueError)            a budget that cannot hold what must be held
    ├── UnknownNameError (LookupError)      no policy, store or embedder of that name
    ├── NotFoundError (LookupError)         no such event, or no such file
    ├── MissingExtraError (ImportError)     a feature whose optional packages are absent
    ├── ModelError (RuntimeError)           an embedder failed, hung or answered nonsense
    ├── OverloadedError (RuntimeError)      more is waiting than will be answered in time
    └── StoreError (OSError)
        ├── StorageFullError                no space left on the disk
        ├── StoreBusyError                  another process holds the writer's lock for too long
        ├── CorruptStoreError               stored bytes fail their checksum
        ├── UnsafeFilesystemError           the file system cannot keep the durability promise
        ├── FileVanishedError               its file was deleted or replaced while it was open
        └── ClosedError                     the memory was closed
"""


class HoldfastError(Exception):
    """Base of every exception Holdfast raises on purpose."""


class ArgumentsError(HoldfastError, ValueError):
    """A program sent arguments that an operation cannot take."""


class InvalidEventError(HoldfastError, ValueError):
    """An event breaks a rule of its record."""


class EventTooLargeError(InvalidEventError):
    """An event's content is over the limit for this memory."""


class IdempotencyError(HoldfastError, ValueError):
    """A known idempotency key came back with another body."""


class InvalidClaimError(HoldfastError, ValueError):
    """A claim breaks a rule of its record."""


class ConflictError(HoldfastError, ValueError):
    """A document is at another version than its writer expected; nothing was written."""


class PatchError(HoldfastError, ValueError):
    """A patch is malformed, or cannot be applied to the document as it is."""


class TransitionError(HoldfastError, ValueError):
    """An automaton has no such transition from the state it is in."""


class AccessError(HoldfastError, PermissionError):
    """A principal lacks the right that an operation needs."""


class CredentialError(HoldfastError, PermissionError):
    """A credential is missing, malformed, unknown, expired or revoked."""


class AuditError(HoldfastError, ValueError):
    """A proof, a signature or a checkpoint does not hold."""


class BudgetError(HoldfastError, ValueError):
    """A budget is too small for what it must hold."""


class UnknownNameError(HoldfastError, LookupError):
    """No registered mechanism has this name."""


class NotFoundError(HoldfastError, LookupError):
    """No such event, or no such file."""


class MissingExtraError(HoldfastError, ImportError):
    """A feature was asked for whose optional packages are not installed."""


class ModelError(HoldfastError, RuntimeError):
    """A model failed, hung or answered with something unusable."""


class OverloadedError(HoldfastError, RuntimeError):
    """A service has more to do than it will answer in time, and has not begun this.

    Parameters
    ----------
    kind
        Which kind of calls there are too many of.
    retry_after_s
        When another try may go better, in whole seconds.
    """

    def __init__(self, kind: str, retry_after_s: int = 1) -> None:
        super().__init__(f"too busy for more {kind} calls; try again in {retry_after_s} s")
        self.kind, self.retry_after_s = kind, retry_after_s


class StoreError(HoldfastError, OSError):
    """The store could not do what it was asked; nothing was half done."""


class StorageFullError(StoreError):
    """No space is left on the disk. Reads go on; writes resume once there is space."""


class StoreBusyError(StoreError):
    """Another process holds the writer's lock for longer than the caller would wait."""


class CorruptStoreError(StoreError):
    """Stored bytes fail their checksum."""


class UnsafeFilesystemError(StoreError):
    """The file system cannot keep the durability promise."""


class FileVanishedError(StoreError):
    """The file was deleted, or another put in its place, while it was open."""


class ClosedError(StoreError):
    """The memory was closed."""
