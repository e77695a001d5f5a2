"""In which words does a report speak, in each language?

A phrase has one line a language, with the same values in it. What was recorded in words when a run was made (notes,
reasons, what was asked of a database) is evidence, and is shown as it was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from integrity.summary import HEADLINES

__all__ = ["LANGUAGES", "WORDS"]

#: The languages of a report, in the order in which each phrase is written below.
LANGUAGES: Final = ("en", "ko")

_VERDICTS: Final = {
    "verdict.pass": ("pass", "통과"),
    "verdict.fail": ("fail", "실패"),
    "verdict.unverified": ("unverified", "미검증"),
    "verdict.pending": ("pending", "판정 보류"),
    "verdict.skipped": ("skipped", "제외"),
    "verdict.none": ("nothing due", "판정할 것 없음"),
    "means.pass": (
        "checked: no exception in the items read, for the columns and promises listed",
        "확인함: 읽은 항목에서, 여기에 적은 열과 약속에 대해 예외가 없음",
    ),
    "means.fail": ("checked, and it does not hold", "확인했으며, 지켜지지 않음"),
    "means.unverified": ("could not be checked; never counted as good", "확인할 수 없었음. 좋은 결과로 세지 않음"),
    "means.kept": (
        "checked and kept: what was found is within the promised ratio",
        "확인했으며 지켜짐: 발견된 것은 약속한 비율 이내",
    ),
    "means.early": (
        "checked and kept in closed batches; what was found in open ones a later run judges",
        "마감된 배치에서 확인했으며 지켜짐. 미마감 배치에서 발견된 것은 이후 실행에서 판정",
    ),
    "means.pending": (
        "not settled yet: its batches are open, or items of them may still arrive; a later run judges it",
        "아직 판정하지 않음: 배치가 마감되지 않았거나 항목이 더 도착할 수 있음. 이후 실행에서 판정",
    ),
    "means.skipped": ("left out on purpose, with a reason", "이유를 밝히고 일부러 제외함"),
}

_PROMISES: Final = {
    "promise.completeness": ("completeness", "완전성"),
    "promise.accuracy": ("accuracy", "정확성"),
    "promise.validity": ("validity", "유효성"),
    "promise.timeliness": ("timeliness", "적시성"),
    "promise.authorization": ("authorization", "승인(권한)"),
    "asks.completeness": (
        "Did everything that was due arrive, once and only once?",
        "도착해야 할 것이 모두, 한 번씩만 도착했는가?",
    ),
    "asks.accuracy": ("Did it arrive unchanged?", "내용이 바뀌지 않고 도착했는가?"),
    "asks.validity": (
        "Is everything that is there real and within its rules?",
        "도착한 것이 모두 실재하며 규칙에 맞는가?",
    ),
    "asks.timeliness": ("Did it arrive in time?", "제때 도착했는가?"),
    "asks.authorization": ("Was whoever did it allowed to, at that moment?", "행위자는 그 시점에 권한이 있었는가?"),
    "kind.lost": ("lost", "유실"),
    "kind.duplicate": ("duplicate", "중복"),
    "kind.corrupt": ("corrupt", "내용 상이"),
    "kind.extra": ("extra", "근거 없음"),
    "kind.invalid": ("invalid", "규칙 위반"),
    "kind.late": ("late", "지연"),
    "kind.skewed": ("skewed", "시계 오류"),
    "kind.unauthorized": ("unauthorized", "권한 없음"),
    "kindmeans.lost": (
        "in the source, not in the destination, and no outcome accounts for it",
        "원천에 있으나 목적지에 없고, 설명하는 처리 결과도 없음",
    ),
    "kindmeans.duplicate": ("more copies in the destination than in the source", "목적지의 사본이 원천보다 많음"),
    "kindmeans.corrupt": ("same identity, other content", "식별자는 같으나 내용이 다름"),
    "kindmeans.extra": ("in the destination, nowhere in the source", "목적지에 있으나 원천 어디에도 없음"),
    "kindmeans.invalid": ("breaks a declared rule", "선언된 규칙을 어김"),
    "kindmeans.late": ("processed after its limit", "정해진 시한을 넘겨 처리됨"),
    "kindmeans.skewed": (
        "processed before it happened, or from the future: a clock is wrong",
        "발생 전에 처리되었거나 미래의 시각임: 어느 시계가 틀림",
    ),
    "kindmeans.unauthorized": ("no grant covered it at that moment", "그 시점에 해당하는 권한이 없었음"),
    "part.matched": ("matched", "일치"),
    "part.corrupt": ("corrupt", "내용 상이"),
    "part.unverified": ("not comparable", "비교 불가"),
    "part.lost": ("lost", "유실"),
    "part.accounted": ("accounted for", "소명됨"),
    "part.pending": ("may still arrive", "도착 대기"),
    "part.duplicate": ("duplicate", "중복"),
    "part.extra": ("extra", "근거 없음"),
    "part.outside": ("less those outside the period of this run", "이 실행의 기간 밖에 있는 것 제외"),
    "part.foreign": ("of items outside the period of this run", "이 실행의 기간 밖 항목에 속하는 것"),
    "side.source": ("source", "원천"),
    "side.destination": ("destination", "목적지"),
}

_TOP: Final = {
    "title": ("Reconciliation report", "대사 보고서"),
    "of.contract": ("{name}, version {version}", "{name}, 버전 {version}"),
    "period": ("Windows", "비교 구간"),
    "period.span": ("{since} to {until}", "{since}부터 {until}까지"),
    "period.snapshot": ("no windows: a comparison of everything", "구간 없음: 전체를 비교"),
    "period.none": ("no window was read", "읽은 구간 없음"),
    "period.stood": (
        "the windows that were read stand as earlier runs left them",
        "읽은 구간은 모두 앞선 실행의 결과와 같음",
    ),
    "as.of": ("As of", "기준 시각"),
    "zone.said": ("All times are in {zone}.", "모든 시각은 {zone} 기준이다."),
    "result.not.opinion": (
        "This is a result, not an opinion. Management is responsible for the assertion that it supports, the service "
        "auditor for the opinion.",
        "이것은 결과이지 감사 의견이 아니다. 이를 근거로 하는 주장은 경영진의, 의견은 서비스 감사인의 책임이다.",
    ),
    "nav": ("On this page", "이 문서의 차례"),
    "recorded.as.is": (
        "Text set in italics was recorded in these words when the run was made.",
        "기울임꼴로 된 글은 실행 당시 기록된 그대로(영어)이다.",
    ),
}

_SECTIONS: Final = {
    "h.promises": ("Promises and verdicts", "약속과 판정"),
    "h.balance": ("The balance", "건수 대사(수지)"),
    "h.batches": ("Batches over time", "시간에 따른 배치"),
    "h.latency": ("Latency against its limit", "시한 대비 처리 지연"),
    "h.breaks": ("Breaks", "예외"),
    "h.expectations": ("Expectations", "기대 조건"),
    "h.unchecked": ("What was not checked, and why", "확인하지 않은 것과 그 이유"),
    "h.selftest": ("Does the control work?", "통제는 작동하는가?"),
    "h.basis": ("What this rests on", "이 보고서의 근거"),
    "h.notclaimed": ("What is not claimed", "주장하지 않는 것"),
    "h.changes": ("What changed in the period", "기간 중의 변경"),
    "h.cases": ("Casework", "예외 처리"),
    "h.runs": ("Runs", "실행"),
    "h.notes": ("Notes", "비고"),
    "c.promise": ("Promise", "약속"),
    "c.verdict": ("Verdict", "판정"),
    "c.found": ("Found", "발견"),
    "c.criterion": ("Criterion", "기준"),
    "c.count": ("Count", "수"),
    "c.kind": ("Kind", "종류"),
    "c.meaning": ("Meaning", "뜻"),
    "c.batch": ("Batch start", "배치 시작"),
    "c.source": ("Source", "원천"),
    "c.destination": ("Destination", "목적지"),
    "c.breaks": ("Breaks", "예외"),
    "c.differs": ("Differs in", "다른 열"),
    "c.reason": ("Reason", "이유"),
    "c.what": ("What", "내용"),
    "c.when": ("When", "때"),
    "c.before": ("Before", "이전"),
    "c.after": ("After", "이후"),
    "c.run": ("Run", "실행"),
    "c.pipeline": ("Pipeline", "파이프라인"),
    "c.contract": ("Contract", "계약"),
    "c.environment": ("Environment", "환경"),
    "c.case": ("Case", "처리 상태"),
    "c.decided": ("Decided by", "결정자"),
    "c.confirmed": ("Confirmed by", "승인자"),
    "c.reference": ("Reference", "참조"),
}

_BODY: Final = {
    "found.item": ("{n} {kind}", "{kind} {n}건"),
    "found.nothing": ("no exception", "예외 없음"),
    "found.ontime": ("{share} on time", "제때 도착 {share}"),
    "found.nocount": ("of no item; see the batches", "특정된 항목 없음. 배치 참조"),
    "balance.unknown": (
        "One side is control totals recorded earlier: a difference is located to its batch, not to its items.",
        "한쪽은 앞서 기록된 통제 합계이다. 차이는 배치까지만 특정되고 항목까지는 특정되지 않는다.",
    ),
    "balance.population": ("population", "모집단"),
    "balance.moved": (
        "Of these, in another batch on the other side: {n}.",
        "그중 상대편에서 다른 배치에 속하는 것: {n}건.",
    ),
    "balance.superseded": (
        "Superseded by newer revisions, on both sides: {n}",
        "더 새로운 판으로 대체된 것(양쪽): {n}건",
    ),
    "leftout": ("Left out of the population, by the contract", "계약에 따라 모집단에서 제외"),
    "attempts": (
        "{attempted} attempted = {accepted} accepted + {rejected} rejected + {excluded} left out",
        "시도 {attempted} = 수락 {accepted} + 거부 {rejected} + 제외 {excluded}",
    ),
    "ladder": ("How equal the compared items are", "비교한 항목이 얼마나 같은가"),
    "batches.summary": (
        "Judged closed batches: {closed}. Of these {passed} passed, {failed} failed, {unverified} not verified, "
        "{pending} pending. Still open: {open}.",
        "판정한 마감 배치 {closed}개 중 통과 {passed}, 실패 {failed}, 미검증 {unverified}, 판정 보류 {pending}. "
        "미마감 {open}.",
    ),
    "batches.unchanged": (
        "{n} more were read again and found as earlier runs left them: they are in the totals, and not listed here.",
        "그 밖의 {n}개는 다시 읽었으나 이전 실행의 결과와 같았다. 합계에는 포함되며 여기에는 나열하지 않는다.",
    ),
    "batches.skipped": ("{n} {n:was|were} left out.", "{n}개는 제외되었다."),
    "batches.plot": (
        "Records of the source by batch, in their order. Solid: passed; crossed: failed; dotted: not verified; "
        "striped: pending; hollow: open; dashed: left out. Where nothing was read there is no place.",
        "배치 순서에 따른 원천 건수. 채움: 통과, 교차 빗금: 실패, 점: 미검증, 빗금: 판정 보류, 빈 막대: 미마감, "
        "파선: 제외. 읽은 것이 없는 구간은 그리지 않는다.",
    ),
    "batches.notdrawn": (
        "{n} {n:batch|batches} of items without an event time {n:is|are} not in the picture.",
        "사건 시각이 없는 항목의 배치 {n}개는 그림에 없다.",
    ),
    "batches.binned": (
        "Each bar stands for up to {n} batches, and has the worst verdict among them.",
        "막대 하나는 배치 최대 {n}개를 나타내며, 그중 가장 나쁜 판정을 따른다.",
    ),
    "batches.remarkable": ("Batches that did not pass", "통과하지 못한 배치"),
    "batches.untimed": ("no event time", "사건 시각 없음"),
    "batches.all": ("all", "전체"),
    "more.rows": (
        "The first {shown} of {total} are shown; all of them are in the JSON of this run: of breaks beyond 10,000, in "
        "the file that it names.",
        "전체 {total}건 중 처음 {shown}건을 보인다. 전부는 이 실행의 JSON에, 1만 건을 넘는 예외는 거기에 적힌 "
        "파일에 있다.",
    ),
    "more.rows.ledger": (
        "The first {shown} of {total} are shown; all of them are on record in the ledger.",
        "전체 {total}건 중 처음 {shown}건을 보인다. 전부는 원장에 기록되어 있다.",
    ),
    "more.rows.pack": (
        "The first {shown} of {total} are shown; all of them are in the files of this pack.",
        "전체 {total}건 중 처음 {shown}건을 보인다. 전부는 이 증거 묶음의 파일에 있다.",
    ),
    "latency.none": ("The contract has no limit of time.", "계약에 시한이 없다."),
    "latency.limit": (
        "Promised: at least {ratio} within {within}",
        "약속: {ratio} 이상이 {within} 이내",
    ),
    "latency.never": ("and none after more than {never}", "최대 {never}(초과 불허)"),
    "latency.basis": ("Basis: {basis}", "근거: {basis}"),
    "latency.measured": (
        "Measured in closed batches: {on_time} of {due} items that were due were on time ({share}).",
        "마감된 배치에서 측정: 도착해야 할 {due}건 중 {on_time}건이 제때 도착({share}).",
    ),
    "latency.longest": (
        "The longest in a closed batch took {longest}.",
        "마감된 배치에서 가장 오래 걸린 것은 {longest}.",
    ),
    "latency.plot": (
        "Latency by batch, open ones too, logarithmic. Line: median; dots: 95th percentile; crosses: longest; dashed "
        "and dotted rules: the limits.",
        "배치별 지연(미마감 포함, 로그 눈금). 선: 중앙값, 점: 제95백분위수, 십자: 최대, 파선과 점선: 시한.",
    ),
    "latency.plot.binned": (
        "Latency by batch, open ones too, logarithmic. Each place stands for up to {n} batches: the bar spans their "
        "medians, the dot is the highest of their 95th percentiles, the cross the longest; dashed and dotted rules: "
        "the limits.",
        "배치별 지연(미마감 포함, 로그 눈금). 한 자리는 배치 최대 {n}개를 나타낸다. 막대: 중앙값의 범위, 점: "
        "제95백분위수 중 최고, 십자: 최대, 파선과 점선: 시한.",
    ),
    "breaks.none": ("No break was found in what was read.", "읽은 범위에서 예외가 발견되지 않았다."),
    "breaks.unnamed": (
        "No break can be shown: one side is control totals recorded earlier, which name no item.",
        "보일 수 있는 예외가 없다. 한쪽은 앞서 기록된 통제 합계여서 항목을 특정할 수 없다.",
    ),
    "breaks.stand": (
        "This run put no break on record anew; {n} {n:stands|stand} from earlier runs.",
        "이 실행이 새로 기록한 예외는 없으며, 앞선 실행의 예외 {n}건이 그대로 있다.",
    ),
    "breaks.stand.too": (
        "Besides, {n} {n:stands|stand} from earlier runs.",
        "그 밖에 앞선 실행의 예외 {n}건이 그대로 있다.",
    ),
    "breaks.whole": (
        "No single item is a break: what failed are batches as a whole.",
        "예외인 개별 항목은 없다. 실패한 것은 배치 전체에 대한 조건이다.",
    ),
    "breaks.first": (
        "The first {n} of each kind; {total} in all.",
        "종류마다 처음 {n}건씩; 모두 {total}건.",
    ),
    "breaks.private": (
        "Identities, reasons and values were left out of this pack; what stands here are pseudonyms.",
        "식별자, 이유, 값은 이 증거 묶음에서 제외되었다. 여기 보이는 것은 가명이다.",
    ),
    "expectations.hold": ("{held} of {all} expectations hold.", "기대 조건 {all}개 중 {held}개가 충족됨."),
    "unchecked.skipped": ("Left out on purpose: {promise}.", "일부러 제외함: {promise}."),
    "unchecked.unverified": (
        "{promise} could not be verified, or not everywhere.",
        "{promise}은 전부 또는 일부를 확인할 수 없었다.",
    ),
    "unchecked.notes": ("What is known of why stands in the notes.", "알려진 이유는 비고에 있다."),
    "unknown.completeness": (
        "In {n} {n:window|windows} something was due, and nothing was read.",
        "도착할 것이 있어야 하는 구간 {n}개에서 아무것도 읽히지 않았다.",
    ),
    "unknown.accuracy": (
        "In {n} {n:batch|batches} no pair was left whose content could be compared.",
        "배치 {n}개에는 내용을 비교할 수 있는 쌍이 없었다.",
    ),
    "unchecked.pending": (
        "{n} closed {n:batch is|batches are} not settled yet: items may still arrive.",
        "마감된 배치 {n}개는 판정 보류: 항목이 더 도착할 수 있다.",
    ),
    "unchecked.notpromised": (
        "Not promised by this contract, and therefore not checked: {promises}.",
        "이 계약이 약속하지 않아 확인하지 않음: {promises}.",
    ),
    "unchecked.columns": (
        "Only these columns were compared: {columns}.",
        "다음 열만 비교했다: {columns}.",
    ),
    "unchecked.nocolumns": (
        "No content was compared, only identities and times.",
        "내용은 비교하지 않았고 식별자와 시각만 비교했다.",
    ),
    "unchecked.open": ("{n} {n:batch is|batches are} still open.", "배치 {n}개는 아직 마감되지 않았다."),
    "unchecked.warnings": (
        "{n} {n:expectation that only warns was|expectations that only warn were} not met; no verdict changes by that.",
        "경고만 하는 기대 조건 {n}개가 충족되지 않았다. 판정에는 영향이 없다.",
    ),
    "selftest.means": (
        "In each run, breaks of the kinds that it promises to find are planted into a shadow copy of a batch; it must "
        "find all of them, or the run is an error. Below stands what was planted, and what could not be. This tests "
        "the comparison, not the extraction.",
        "실행할 때마다, 찾겠다고 약속한 종류의 예외를 배치의 그림자 사본에 심는다. 전부 찾지 못하면 실행은 오류가 "
        "된다. 무엇을 심었고 무엇을 심을 수 없었는지는 아래에 있다. 이는 비교를 시험하며 추출은 시험하지 않는다.",
    ),
    "strength.accident": (
        "Equal totals cannot arise by accident, but could be forged by someone who can choose the records.",
        "합계가 우연히 같아질 수는 없으나, 기록을 고를 수 있는 사람은 위조할 수 있다.",
    ),
    "strength.adversary": (
        "The batches are sealed by Merkle roots, which also someone who can choose the records cannot forge.",
        "배치는 머클 루트로 봉인되어, 기록을 고를 수 있는 사람도 위조할 수 없다.",
    ),
}

_BASIS: Final = {
    "b.location": ("Where", "위치"),
    "b.read": ("Read at", "읽은 시각"),
    "b.how": ("How", "방법"),
    "b.query": ("Query", "질의"),
    "b.columns": ("Columns renamed", "열 이름 대응"),
    "b.zone": ("Times without zone read as", "시간대 없는 시각의 해석"),
    "b.records": ("Records in the population", "모집단 건수"),
    "b.digest": ("Hash total of all batches", "모든 배치의 해시 합계"),
    "b.amount": ("Total of {name}", "{name} 합계"),
    "b.contract": ("Contract", "계약"),
    "b.sha": ("Its SHA-256", "계약의 SHA-256"),
    "b.spec": ("SHA-256 of everything in force", "적용된 모든 것의 SHA-256"),
    "b.identity": ("An item is named by", "항목의 식별자"),
    "b.window": ("Windows and grace", "구간과 유예"),
    "b.window.of": ("{window}, closed {grace} after their end", "{window}, 끝나고 {grace} 뒤에 마감"),
    "b.window.zone": (
        "{window} from midnight in {zone}, closed {grace} after their end",
        "{zone}의 자정부터 {window}, 끝나고 {grace} 뒤에 마감",
    ),
    "b.asked": ("Asked for", "요청 구간"),
    "b.software": ("Software", "소프트웨어"),
    "b.ran": ("When it ran", "실행 시각"),
    "b.operator": ("Operator", "실행자"),
    "b.host": ("Machine", "컴퓨터"),
    "b.recorded": ("On record as", "기록된 실행 이름"),
    "b.notrecorded": ("not on record in a ledger", "원장에 기록되지 않음"),
    "b.criteria": ("Criteria", "기준"),
    "b.references": ("Also read: {name}", "함께 읽음: {name}"),
    "b.withheld": ("left out of this pack, or erased", "이 증거 묶음에서 제외되었거나 삭제됨"),
    "b.made": ("This page was made on {at}.", "이 문서는 {at}에 만들어졌다."),
    "b.claim": ("What may be claimed of the ledger", "원장에 대해 주장할 수 있는 것"),
    "b.key": ("Public key", "공개 키"),
}

_CLAIMS: Final = {
    "not.capture": (
        "That the source holds everything that happened: what was never captured was not tested.",
        "원천에 일어난 일이 모두 담겨 있다는 것. 애초에 포착되지 않은 것은 시험하지 않았다.",
    ),
    "not.material": (
        "That an exception is material, or that none is: materiality is not judged here.",
        "예외가 중요하다거나 중요하지 않다는 것. 중요성은 여기서 판단하지 않는다.",
    ),
    "not.columns": (
        "Anything of columns, promises or periods that are not listed above.",
        "위에 적지 않은 열, 약속, 기간에 관한 어떤 것도.",
    ),
    "not.clocks": (
        "That clocks were right: moments are as the systems recorded them.",
        "시계가 맞았다는 것. 시각은 각 시스템이 기록한 그대로이다.",
    ),
    "not.runs": (
        "That every run that should have been made was made: the ledger's status says that.",
        "해야 할 실행이 모두 이루어졌다는 것. 그것은 원장의 상태 보고가 말한다.",
    ),
    "not.evidence": (
        "That this page is evidence: it is a view. The evidence is the signed pack or the ledger it was made from.",
        "이 문서가 증거라는 것. 이 문서는 보기일 뿐이며, 증거는 서명된 증거 묶음이나 원장이다.",
    ),
}

_UNITS: Final = {
    "form.moment": ("MMM d, y, HH:mm:ss", "y. M. d. HH:mm:ss"),
    "unit.day": ("{n} d", "{n}일"),
    "unit.hour": ("{n} h", "{n}시간"),
    "unit.minute": ("{n} min", "{n}분"),
    "unit.second": ("{n} s", "{n}초"),
    "unit.millisecond": ("{n} ms", "{n}밀리초"),
    "unit.microsecond": ("{n} µs", "{n}마이크로초"),
}

_PACK: Final = {
    "pack.title": ("Evidence of reconciliation", "대사 증거 보고서"),
    "pack.headline": (
        "{runs} {runs:run|runs} of {pipelines} {pipelines:pipeline|pipelines}: {passed} passed, {failed} failed, "
        "{unverified} unverified, {pending} pending, {others} without a result",
        "파이프라인 {pipelines}개, 실행 {runs}회: 통과 {passed}, 실패 {failed}, 미검증 {unverified}, "
        "판정 보류 {pending}, 결과 없음 {others}",
    ),
    "pack.began": ("Runs began", "실행 시작"),
    "pack.runs.shown": (
        "{shown} of {total} runs are told in full below: those that did not pass first.",
        "실행 {total}회 중 {shown}회를 아래에 자세히 싣는다. 통과하지 못한 것부터.",
    ),
    "pack.runs.listed": (
        "The first {shown} of {total} runs are listed, those that did not pass first; all of them are in the README.",
        "실행 {total}회 중 처음 {shown}회를 나열한다. 통과하지 못한 것부터. 전부는 README에 있다.",
    ),
    "pack.test": (
        "Runs of the test environment are on record and do not count.",
        "시험 환경의 실행은 기록되지만 세지 않는다.",
    ),
    "pack.deviations": ("Deviations", "이탈"),
    "pack.none": ("none", "없음"),
    "h.samples": ("Samples", "표본"),
    "pack.never.ended": ("never ended", "끝나지 않음"),
    "pack.failed": ("ended in an error", "오류로 끝남"),
    "pack.changes.none": (
        "No change of contract, specification or software between the runs of production in this pack.",
        "이 증거 묶음의 운영 환경 실행들 사이에 계약, 사양, 소프트웨어의 변경이 없다.",
    ),
    "pack.cases.none": (
        "No break is on record in runs of production.",
        "운영 환경의 실행에 기록된 예외가 없다.",
    ),
    "pack.cases.summary": (
        "{total} {total:break|breaks}: {undecided} without a decision.",
        "예외 {total}건: 결정되지 않은 것 {undecided}건.",
    ),
    "pack.cases.apart": (
        "Names were replaced in this pack: a break that several runs showed counts once for each of them, unless "
        "something was decided about it.",
        "이 증거 묶음에서는 이름이 가명으로 바뀌었다. 여러 실행에 나타난 예외는 결정된 것이 없으면 "
        "실행마다 하나로 센다.",
    ),
    "pack.never.verdict": (
        "A decision about a break changes no verdict.",
        "예외에 대한 결정은 판정을 바꾸지 않는다.",
    ),
    "what.contract": ("contract", "계약"),
    "what.spec": ("specification", "사양"),
    "what.software": ("software", "소프트웨어"),
    "what.approval": ("approval", "승인"),
    "what.ruling": ("ruling", "결정 규칙"),
    "what.key": ("key", "키"),
    "environment.production": ("production", "운영"),
    "environment.test": ("test", "시험"),
    "case.open": ("open", "미결정"),
    "case.proposed": ("proposed", "제안됨"),
    "case.disposed": ("disposed", "처리됨"),
    "case.awaiting-run": ("awaiting a run", "재실행 확인 대기"),
    "case.reopened": ("reopened", "다시 열림"),
    "case.open-again": ("open again", "재발"),
    "case.closed": ("closed", "해소됨"),
    "disposition.corrected": ("corrected", "정정됨"),
    "disposition.timing": ("timing", "시차"),
    "disposition.accepted": ("accepted", "수용됨"),
    "disposition.false-positive": ("false positive", "오탐"),
    "pack.open": ("Run {run}", "실행 {run}"),
}

#: Each phrase, a line a language.
WORDS: Final[Mapping[str, tuple[str, str]]] = {
    **_VERDICTS,
    **_PROMISES,
    **_TOP,
    **HEADLINES,
    **_SECTIONS,
    **_BODY,
    **_BASIS,
    **_CLAIMS,
    **_UNITS,
    **_PACK,
}
