"""Which faults deliver something else than what was accepted?"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from integrity.demo.mail.fault import (
    Expected,
    MailFault,
    everywhere,
    fault,
    forwarding,
    hangul,
    html,
    nameless,
    single,
    with_file,
)
from integrity.demo.mail.letters import AS_SENT, Attachment, Forward, Party, Text, on_text, written
from integrity.demo.mail.office import Office, Posted
from integrity.mail.rungs import climb

__all__ = ["ATTACHMENTS", "HEADERS", "IDENTITIES", "TEXTS"]

# Attachments ----------------------------------------------------------------------------------------------

ATTACHMENTS: list[MailFault] = []


@fault(ATTACHMENTS, "attachment cut off", "the line broke: the end of the attachment is missing", fits=with_file)
def _cut(office: Office, posted: Posted) -> Expected:
    copy = posted.copies[0]
    copy.cut, copy.style = 90, AS_SENT
    return [(kind, copy.mailbox, posted.message_id) for kind in ("corrupt", "invalid")]


@fault(ATTACHMENTS, "one bit flipped", "one bit of an attachment, on a disk", rate=2, fits=with_file)
def _flipped(office: Office, posted: Posted) -> Expected:
    copy = posted.copies[0]
    (file,) = copy.letter.files
    at = office.rng.randrange(len(file.data))
    data = file.data[:at] + bytes([file.data[at] ^ 1]) + file.data[at + 1 :]
    copy.letter = replace(copy.letter, attached=(replace(file, data=data),))
    return [("corrupt", copy.mailbox, posted.message_id)]


@fault(ATTACHMENTS, "attachment removed", "a gateway took it out, by a rule that nobody declared", fits=with_file)
def _removed(office: Office, posted: Posted) -> Expected:
    notice = Attachment("removed.txt", "text/plain", b"An attachment was removed.\r\n")
    posted.reword(attached=(notice,))
    return everywhere("corrupt", posted)


@fault(ATTACHMENTS, "attachment renamed", "a name that somebody took for dangerous", fits=with_file)
def _renamed(office: Office, posted: Posted) -> Expected:
    (file,) = posted.letter.files
    posted.reword(attached=(replace(file, name=file.name + "_"),))
    return everywhere("corrupt", posted)


@fault(ATTACHMENTS, "forward altered", "the mail inside the mail is another one now", fits=forwarding)
def _forward(office: Office, posted: Posted) -> Expected:
    posted.reword(
        attached=tuple(
            Forward(on_text(each.letter, text=each.letter.texts[0].text + "P.S.\n"))
            if isinstance(each, Forward)
            else each
            for each in posted.letter.attached
        )
    )
    return everywhere("corrupt", posted)


# Texts ----------------------------------------------------------------------------------------------------

TEXTS: list[MailFault] = []


@fault(TEXTS, "Hangul decomposed", "NFC became NFD: every screen shows the same", fits=hangul)
def _decomposed(office: Office, posted: Posted) -> Expected:
    for copy in posted.copies:
        copy.letter = on_text(copy.letter, text=unicodedata.normalize("NFD", copy.letter.texts[0].text))
    return everywhere("corrupt", posted)


@fault(TEXTS, "wrong charset label", "EUC-KR that says it is Latin-1: every screen shows ÀÌ°Í", fits=hangul)
def _mojibake(office: Office, posted: Posted) -> Expected:
    for copy in posted.copies:
        text = copy.letter.texts[0].text.encode("euc-kr", "replace").decode("euc-kr")
        copy.letter = on_text(copy.letter, text=text, charset="euc-kr", encoding="base64", label="iso-8859-1")
    return everywhere("corrupt", posted)


@fault(TEXTS, "question marks", "converted to ASCII: what was Korean is question marks", fits=hangul)
def _asked(office: Office, posted: Posted) -> Expected:
    for copy in posted.copies:
        text = copy.letter.texts[0].text.encode("ascii", "replace").decode()
        copy.letter = on_text(copy.letter, text=text, charset="us-ascii", encoding="7bit")
    return everywhere("corrupt", posted)


@fault(TEXTS, "text replaced", "the text of another mail, under these headers", fits=single)
def _replaced(office: Office, posted: Posted) -> Expected:
    posted.reword(texts=(Text("Please ignore my last mail.\n"),))
    return everywhere("corrupt", posted)


@fault(TEXTS, "disclaimer", "added to every copy, and declared by nobody", fits=hangul)
def _disclaimer(office: Office, posted: Posted) -> Expected:
    for copy in posted.copies:
        copy.letter = on_text(copy.letter, text=copy.letter.texts[0].text + "\n본 메일은 기밀입니다.\n")
    return everywhere("corrupt", posted)


@fault(TEXTS, "link rewritten", "a gateway made the links of the HTML its own", fits=html)
def _linked(office: Office, posted: Posted) -> Expected:
    plain, rich = posted.letter.texts
    said = rich.text.replace("https://acme.example/", "https://safe.example/?to=")
    posted.reword(texts=(plain, replace(rich, text=said)))
    return everywhere("corrupt", posted)


# Headers --------------------------------------------------------------------------------------------------

HEADERS: list[MailFault] = []


@fault(HEADERS, "subject changed", "tagged by a gateway, and nobody declared the tag", rate=2)
def _subject(office: Office, posted: Posted) -> Expected:
    posted.reword(subject="[EXTERNAL] " + posted.letter.subject)
    return everywhere("corrupt", posted)


@fault(HEADERS, "sender rewritten", "From is another one now", fits=single)
def _sender(office: Office, posted: Posted) -> Expected:
    sender = posted.letter.sender
    posted.reword(sender=Party(sender.name, "bounce+" + sender.address))
    return everywhere("corrupt", posted)


@fault(HEADERS, "NUL in a header", "accepted and delivered as it came: a header no program reads", fits=single)
def _nul(office: Office, posted: Posted) -> Expected:
    return _strange(posted, b"X-Mailer: Mail\0er 4.1")


@fault(HEADERS, "header garbage", "accepted and delivered as it came: a header line without a colon", fits=single)
def _garbage(office: Office, posted: Posted) -> Expected:
    return _strange(posted, b"X-Spam-Status No, score=-1.2")


def _strange(posted: Posted, line: bytes) -> Expected:
    posted.letter = replace(posted.letter, strange=(line,))
    posted.reword(strange=(line,))
    return everywhere("invalid", posted)


# Identities -----------------------------------------------------------------------------------------------

IDENTITIES: list[MailFault] = []


@fault(IDENTITIES, "Message-ID rewritten", "a gateway gave it an ID of its own", fits=single)
def _rewritten(office: Office, posted: Posted) -> Expected:
    stranger = office.new_id()
    posted.reword(message_id=stranger)
    return [*everywhere("lost", posted), ("extra", posted.expected[0], stranger)]


@fault(IDENTITIES, "changed without Message-ID", "its content was its only name, and was changed", fits=nameless)
def _nameless(office: Office, posted: Posted) -> Expected:
    posted.reword(subject=posted.letter.subject + ".")
    stranger = climb(written(posted.copies[0].letter)).message_id
    return [*everywhere("lost", posted), ("extra", posted.expected[0], stranger)]


@fault(IDENTITIES, "lost without Message-ID", "lost, and known by its content alone", fits=nameless)
def _lost_nameless(office: Office, posted: Posted) -> Expected:
    posted.copies.clear()
    return everywhere("lost", posted)
