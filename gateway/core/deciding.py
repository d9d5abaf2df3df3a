"""The decision about a delivery, for one scheme with its secrets: verify, then answer a challenge or identify."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.core.admission import Admission, Handshake, Rejected, Request, Verified
from gateway.core.expressions import Document, Expression
from gateway.core.identity import Identifier
from gateway.core.provider import Challenge, Terms
from gateway.core.source import Ack
from gateway.core.times import to_micros
from gateway.core.verifying import AnyVerifier, Stamps

LONGEST_ANSWER = 1_024
LONGEST_UNSIGNED = 4_096
# What is echoed must never be taken for a page.
_ANSWER_HEADERS = (("x-content-type-options", "nosniff"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A challenge, compiled."""

    challenge: Challenge
    when: Expression | None
    answer: Expression | None
    terms: Terms

    def asked(self, request: Request, document: Document) -> Handshake | None:
        """Return the answer, None where the delivery is not this challenge or has nothing to echo."""
        challenge = self.challenge
        if challenge.methods and request.method not in challenge.methods:
            return None
        if self.when is not None:
            value = self.when.text(document)
            if value is None or challenge.equals not in (None, value):
                return None
        if challenge.reply is not None:
            return challenge.reply(request, self.terms)
        text = "" if self.answer is None else self.answer.text(document)
        if text is None or len(text) > LONGEST_ANSWER:
            return None
        return Handshake(self._ack(text))

    def _ack(self, text: str) -> Ack:
        challenge = self.challenge
        body = challenge.template.replace("{}", json.dumps(text)) if challenge.template else text
        return Ack(
            status=challenge.status,
            body=body.encode("utf-8", "replace"),
            content_type=challenge.content_type,
            headers=_ANSWER_HEADERS,
        )


@dataclass(frozen=True, slots=True)
class BodyStamp:
    """A timestamp that stands in the signed body."""

    value: Expression
    stamps: Stamps

    def judge(self, document: Document, verified: Verified, now_us: int) -> Verified | Rejected:
        """Return the verification with its age, or why the time refuses it."""
        value = self.value.find(document).value
        if value is None:
            return Rejected("timestamp_missing")
        micros = to_micros(value, "ms" if self.stamps.unit == "ms" else "s")
        if micros is None:
            return Rejected("timestamp_malformed")
        age_us = now_us - micros
        refusal = self.stamps.refusal(age_us)
        if refusal is not None:
            return Rejected(refusal, age_us / 1e6)
        return Verified(verified.label, age_us / 1e6, verified.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One scheme of a source."""

    applies: Callable[[Mapping[bytes, bytes]], bool]
    verifier: AnyVerifier
    identifier: Identifier
    questions: tuple[Question, ...]
    body_stamp: BodyStamp | None

    def admit(self, request: Request, now_us: int) -> Admission:
        """Return the decision."""
        verified = self.verifier.verify(request, now_us)
        if not isinstance(verified, Verified):
            return self._unsigned_answer(request) or verified
        document = self.identifier.document(request)
        if self.body_stamp is not None:
            verified = self.body_stamp.judge(document, verified, now_us)
            if isinstance(verified, Rejected):
                return verified
        for question in self.questions:
            answered = question.asked(request, document)
            if answered is not None:
                return msgspec.structs.replace(answered, secret=verified.label, signature_age=verified.age)
        return self.identifier.events(request, document, verified)

    def _unsigned_answer(self, request: Request) -> Handshake | None:
        unsigned = [question for question in self.questions if not question.challenge.signed]
        size = len(request.body) + len(request.query)
        if not unsigned or size > LONGEST_UNSIGNED or not self.verifier.unsigned(request):
            return None
        document = self.identifier.document(request)
        answers = (question.asked(request, document) for question in unsigned)
        return next((answer for answer in answers if answer is not None), None)


def decide(gates: Sequence[Gate], request: Request, now_us: int) -> Admission:
    """Return the decision of the first gate that applies; the last applies to whatever is left."""
    headers = request.headers
    for gate in gates[:-1]:
        if gate.applies(headers):
            return gate.admit(request, now_us)
    return gates[-1].admit(request, now_us)
