"""What do people of a Korean company write in a mail, and what do they attach?"""

from __future__ import annotations

import unicodedata
from random import Random

from integrity.demo.mail.letters import Attachment

__all__ = ["attachment", "english", "korean", "of_lines", "subject"]

_GREETINGS = ("안녕하세요, 팀장님.", "안녕하십니까.", "수고 많으십니다.", "네, 확인했습니다.", "다들 고생 많으십니다.")
_TOPICS = (
    "3월 정산 자료", "계약서 초안", "견적서 v2", "주간 보고", "휴가 신청", "고객 문의 #1024", "예산안 (12,3)",
    "출장비 영수증", "워크숍 장소", "보안 점검 결과", "재고 현황", "각 팀 KPI", "납품 일정", "채용 면접",
)  # fmt: skip
_ENDINGS = (
    " 확인 부탁드립니다.", " 공유드립니다.", " 첨부합니다.", " 언제까지 가능할까요?", " 승인되었습니다.",
    " 검토 의견을 주시면 감사하겠습니다.", " 내일 오전까지 회신 바랍니다.", " 참고해 주세요.",
)  # fmt: skip
_ENGLISH_TOPICS = (
    "March settlement", "draft contract", "quotation v2", "weekly report", "release 4.1", "invoice",
    "security review", "onboarding", "travel expenses", "Q2 forecast", "delivery schedule",
)  # fmt: skip
_ENGLISH_LINES = (
    "Please find it attached.", "Could you have a look before Friday?", "Approved, thank you.",
    "We moved the meeting to 3 pm KST.", "As discussed, the price is 1,250.00 USD.", "See the link below:",
    "https://example.com/d?id=7&v=2", "Let me know if anything is missing.",
)  # fmt: skip
#: Characters that only Unicode has: a mail in UTF-8 may hold them, one in EUC-KR may not.
_TAILS = ("", "", "", " 🙂", " 🙏🏻", " ㅎㅎ", " 👨\u200d👩\u200d👧")
_FILES = (
    ("계약서 초안.pdf", "application/pdf"), ("3월 정산.xlsx", "application/vnd.ms-excel"),
    ("회의록.hwp", "application/x-hwp"), ("워크숍 사진 모음 (최종, 진짜 최종).jpg", "image/jpeg"),
    ("invoice.pdf", "application/pdf"), ("각 팀 KPI.csv", "text/csv"),
    ("견적서_v2.docx", "application/octet-stream"),
)  # fmt: skip


def subject(rng: Random, hangul: bool, number: int) -> str:
    """Return a subject; its number makes it the only one of the day."""
    opener = rng.choice(("", "", "Re: ", "Fwd: ", "[공지] " if hangul else "[Notice] "))
    topic = rng.choice(_TOPICS) + rng.choice(_ENDINGS).rstrip(".?") if hangul else rng.choice(_ENGLISH_TOPICS)
    return f"{opener}{topic} ({number})"


def korean(rng: Random, unicode: bool) -> str:
    """Return a text in Korean; without ``unicode`` one that EUC-KR can say."""
    lines = [
        rng.choice(_TOPICS) + rng.choice(_ENDINGS) + (rng.choice(_TAILS) if unicode else "")
        for _ in range(rng.randrange(1, 6))
    ]
    return "\n".join([rng.choice(_GREETINGS), "", *lines, "", "감사합니다.", "-- ", "(주)에이씨엠이 드림", ""])


def english(rng: Random) -> str:
    """Return a text in English, which is plain ASCII."""
    lines = [rng.choice(_ENGLISH_LINES) for _ in range(rng.randrange(1, 8))]
    return "\n".join(["Hello,", "", *lines, "", "Best regards", ""])


def of_lines(rng: Random) -> str:
    """Return a text with lines that an mbox has to quote, some of which are quoted already."""
    return f"From the start it was clear.\n>From here on too.\n>>From {rng.randrange(999)}\nFrom me\n\n{english(rng)}"


def attachment(rng: Random, size: int) -> Attachment:
    """Return a file, its name in NFC; a text has lines, whatever else it is has octets."""
    name, kind = rng.choice(_FILES)
    data = rng.randbytes(size)
    if kind == "text/csv":
        data = "".join(f"{n},{rng.randrange(10**6)},팀\r\n" for n in range(size // 20 + 1)).encode()
    return Attachment(unicodedata.normalize("NFC", name), kind, data, rng.choice(("extended", "word")))
