"""What do people of a Korean company call the files that they put on a drive, and into which folders do they put them?

Every path is unique, and stays so on disks that do not tell capitals or Unicode forms apart: two files with nearly the
same name are a fault, and faults come later.
"""

from __future__ import annotations

import unicodedata
from random import Random

from integrity.demo.drive.cabinet import loosely

__all__ = ["DROPPED", "EXTENSIONS", "Namer", "decomposed"]

#: Folders, and how many of a hundred files lie in each; `{}` is a month.
_FOLDERS = {
    "": 1, "기획": 3, "기획/2026": 6, "기획/지난 자료/2019": 1,
    "기획/2026/1분기/회의록": 6, "기획/2026/1분기/각 팀 KPI/최종": 3,
    "Finance": 3, "Finance/2025": 5, "Finance/2026/{:02d}월 결산": 9, "Finance/세금계산서/2026-{:02d}": 5,
    "Design": 4, "Design/Logo": 3, "Design/UI kit/아이콘/24px@2x": 6, "Design/사진/워크숍 📷": 4,
    "R&D": 3, "R&D/C# 이식": 3, "R&D/실험 #3/raw data/2026/{:02d}": 7, "R&D/a/b/c/d/e/f/g/h": 1,
    "인사": 2, "인사/채용 (2026 상반기)/지원서": 5, "인사/교육/O'Reilly": 2, "영업/거래처": 6, "영업/50% 할인 행사": 3,
    "법무/계약서": 4, "공유/🎉 송년회": 2, "공유/Kim's “scratch”": 2,
    "Users/minjun.kim/Desktop": 4, "Users/지우/문서": 4,
}  # fmt: skip
#: Folders that somebody drags onto the drive as a whole.
DROPPED = ("Design/Launch 2026 🚀/시안", "영업/제안서 패키지 & 부록", "R&D/벤치마크 결과")

_DOCUMENTS = (
    "각서", "계약서 초안", "견적서 v2", "결산", "주간 보고", "회의록", "이력서", "예산안 100%",
    "제안서 (최종)", "제안서 (최종, 진짜 최종)",
    "㈜하늘상사 계약서", "㈜구름 견적서", "①차 검토안", "Q2 forecast", "Minutes", "NDA – signed", "~$초안",
    "Smith & Sons", "월간 보고 #12",
    "비밀유지 계약서_최종_수정_검토의견반영_대표님확인", "Kim's notes", "“긴급” 요청", "½ 가격 제안", "ＲＦＰ 답변서",
)  # fmt: skip
_TEXTS = (
    "README",
    "메모",
    "todo",
    "로그 분석",
    "설정값",
    "query",
    "번역 대본",
    "목록 [전체]",
    "a+b",
    "C++ 규칙",
    "export",
)
_IMAGES = (
    "Logo (final) v2",
    "배너",
    "스크린샷 2026-03-02 오전 9.14.02",
    "IMG_0412",
    "단체 사진 👨\u200d👩\u200d👧",
    "썸네일",
    "icon",
)
_VIDEOS = ("발표 연습", "screen recording", "워크숍 🎬")
_ARCHIVES = ("백업", "sources", "원본 일체", "납품본")
#: What files end in, by the kind that the drive takes them for.
EXTENSIONS = {
    "document": ("docx", "xlsx", "pptx", "pdf", "hwp", "hwpx"),
    "text": ("txt", "csv", "md", "json", "SQL"),
    "image": ("png", "jpg", "psd", "JPG", "svgz"),
    "video": ("mp4",),
    "archive": ("zip", "tar.gz", "part"),  # a volume of several is called so too, and is there in full
    "native": ("note", "sheet"),
}
_STEMS = {
    "document": _DOCUMENTS, "text": _TEXTS, "image": _IMAGES, "video": _VIDEOS, "archive": _ARCHIVES,
    "native": ("온라인 회의록", "공동 편집 문서", "Shared plan", "설문"),
}  # fmt: skip
#: So many octets a name may have on most disks, and some are needed for what is put behind it.
_OCTETS = 255 - len(".part")


class Namer:
    """Gives out paths, in NFC, each once."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.taken: set[str] = set()

    def path(self, kind: str, folder: str | None = None) -> str:
        """Return a path for a file of some kind, in this folder or in any."""
        rng = self._rng
        if folder is None:
            folder = rng.choices(list(_FOLDERS), list(_FOLDERS.values()))[0].format(rng.randrange(1, 4))
        stem, end = rng.choice(_STEMS[kind]), rng.choice(EXTENSIONS[kind])
        if rng.random() < 0.5:
            stem += rng.choice((" 2025", " 2026-03-02", "_v{}", " ({})", " - 복사본", " rev.{}", "_{}차")).format(
                rng.randrange(1, 40)
            )
        number = 0
        while True:
            name = f"{stem}.{end}" if not number else f"{stem} ({number}).{end}"
            path = unicodedata.normalize("NFC", f"{folder}/{name}".lstrip("/"))
            assert len(decomposed(name).encode()) <= _OCTETS, name
            if loosely(path) not in self.taken:
                self.taken.add(loosely(path))
                return path
            number += 1


def decomposed(path: str) -> str:
    """Return a path as a Mac spells it."""
    return unicodedata.normalize("NFD", path)
