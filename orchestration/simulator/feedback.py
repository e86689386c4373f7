"""Customer feedback: free text in Chinese and English, by topic.

Belongs here: `feedback`, and the texts that other sources quote. Does not belong here: scores (`surveys`).
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from orchestration.simulator import parameters as p
from orchestration.simulator.clock import DAY, HOUR, NEVER, Calendar, Floats, Ints, stream
from orchestration.simulator.files import labels, look_up, numbered, timestamps
from orchestration.simulator.people import People, office_time, pick
from orchestration.simulator.tables import LaterStates, Post, Rows, day_number, select

LANGUAGES = ("zh", "en")
TOPICS = tuple(p.FEEDBACK_TOPICS)

_OPENINGS = {
    "zh": ("", "你好，", "我们团队最近发现，", "用了两个月，", "补充一点："),
    "en": ("", "Hi, ", "From our team: ", "After two months with you, ", "One more thing. "),
}
_CLOSINGS = {
    "zh": ("。", "，谢谢！", "，请尽快回复。", "。\n期待改进"),
    "en": (".", ", thanks!", ", please get back to us.", ".\nLooking forward to your answer"),
}
_BODIES = {
    "praise": {
        "zh": ("匹配结果很准，帮我们省了不少时间", "客服响应很快，体验很好", "整体非常满意，已推荐给同行"),
        "en": (
            "the matches are spot on and save us days",
            "support answers fast and knows the product",
            'a solid "9 of 10" for us',
        ),
    },
    "feature_request": {
        "zh": ("希望支持批量导出报告", "能不能增加企业微信审批流程", "希望看板可以自定义字段"),
        "en": (
            "please add bulk export of reports",
            "we need single sign-on for the whole team",
            "custom fields on the board would help",
        ),
    },
    "onboarding": {
        "zh": ("新手引导太长，找不到入口", "注册以后不知道下一步做什么", "教程和实际界面不一致"),
        "en": (
            "the setup guide is long and hard to find",
            "after signing up we did not know what to do",
            "the tutorial shows old screens",
        ),
    },
    "pricing": {
        "zh": ("企业版价格偏高，续费有压力", "希望按使用量计费，而不是按席位", "年付折扣不够吸引人"),
        "en": (
            "enterprise is too expensive for what we use",
            "we would pay by use, not by seat",
            "the yearly discount is too small",
        ),
    },
    "matching_quality": {
        "zh": ("推荐的服务商和需求不匹配", "匹配结果重复，行业也不对", "候选名单里很多公司没有回应"),
        "en": (
            "suggested vendors do not fit our brief",
            "the same vendors come up again, in the wrong industry",
            "half of the shortlist never answers",
        ),
    },
    "performance": {
        "zh": ("页面加载很慢，经常超时", "上午高峰期打不开看板", "导出报告时总是报错"),
        "en": ("pages load slowly and often time out", "the board does not open in the morning", "exports fail with an error"),
    },
    "billing": {
        "zh": ("发票抬头填错了，无法修改", "扣款失败但没有提醒", "退款两周还没有到账"),
        "en": (
            "the invoice names the wrong company",
            "a charge failed and nobody told us",
            "our refund has not arrived for two weeks",
        ),
    },
}
# All texts, by language, topic, body, opening and closing.
_TEXTS = [
    opening + body + closing
    for language in LANGUAGES
    for topic in TOPICS
    for body in _BODIES[topic][language]
    for opening in _OPENINGS[language]
    for closing in _CLOSINGS[language]
]
_PER_TOPIC = len(_TEXTS) // len(LANGUAGES) // len(TOPICS)
_TOPIC_SHARES = np.array(list(p.FEEDBACK_TOPICS.values())).T


def draw_topics(rng: np.random.Generator, discontent: Floats) -> Ints:
    """Topics of people with the given discontent (the churn logit minus the middle)."""
    content, discontented = (pick(rng, shares.tolist(), len(discontent)) for shares in _TOPIC_SHARES)
    return np.where(discontent > 0, discontented, content)


def draw_languages(rng: np.random.Generator, country: Ints) -> Ints:
    """Languages of people from the countries."""
    return (rng.random(len(country)) >= np.array([p.CHINESE_SHARE[name] for name in p.COUNTRIES])[country]).astype(np.int64)


def draw_texts(rng: np.random.Generator, topic: Ints, language: Ints) -> Ints:
    """Codes of texts for the topics and languages."""
    return (language * len(TOPICS) + topic) * _PER_TOPIC + rng.integers(0, _PER_TOPIC, len(topic))


def texts(codes: Ints) -> pa.Array:
    """Texts by code; NULL where it is negative."""
    return labels(_TEXTS, codes)


class Feedback:
    """Feedback of people active on a day; it lands with or without an answer, and again when answered later."""

    def __init__(self, calendar: Calendar, people: People, seed: int) -> None:
        self._calendar, self._people, self._seed = calendar, people, seed
        self.realised: Counter[str] = Counter()
        self._user_ids = numbered("u_", people.user, 6)
        self._under_way = Post(calendar)
        self._states = LaterStates(calendar, seed, "feedback")
        self._answered_late = 0

    def step(self, day: int, active: Ints, churn_logit: Floats) -> None:
        """Let some of the active people write; the logit is one per account."""
        rng = stream(self._seed, "feedback.step", day)
        who = active[rng.random(len(active)) < p.FEEDBACK_RATE]
        if not len(who):
            return
        people, n = self._people, len(who)
        at = self._calendar.start(day) + office_time(rng, n)
        answered = at + (rng.lognormal(np.log(20), 1.0, n) * HOUR).astype(np.int64)
        export = at + p.FEEDBACK_EXPORT_DAYS * DAY
        answered = np.where((rng.random(n) < p.FEEDBACK_ANSWER_RATE) & (answered <= export), answered, NEVER)
        written = {
            "number": day_number(self._calendar, day) + np.arange(n),
            "at": at,
            "who": who,
            "channel": pick(rng, list(p.FEEDBACK_CHANNELS.values()), n),
            "topic": draw_topics(rng, churn_logit[people.account[who]] - p.SATISFACTION_MIDDLE),
            "language": draw_languages(rng, people.country[who]),
            "answered": answered,
            "updated": np.minimum(answered, export),
        }
        self._under_way.send(written, np.minimum(answered, export), day)

    def feedback(self, day: int) -> pa.Table | None:
        """Feedback that arrives on the day."""
        landed = self._under_way.receive(day)
        if landed is not None:
            for topic, language in zip(landed["topic"].tolist(), landed["language"].tolist(), strict=True):
                self.realised[f"{TOPICS[topic]}/{LANGUAGES[language]}"] += 1
            rng = stream(self._seed, "feedback.texts", day)
            landed = {**landed, "text": draw_texts(rng, landed["topic"], landed["language"])}
            self._answer(select(landed, landed["answered"] >= NEVER), day)
        landed = self._states.behind(landed, day)
        if landed is None:
            return None
        return pa.table(
            {
                "feedback_id": numbered("fb_", landed["number"], 15),
                "user_id": look_up(self._user_ids, landed["who"]),
                "account_id": numbered("acc_", self._people.account[landed["who"]] + 1, 5),
                "created_at": timestamps(landed["at"]),
                "channel": labels(list(p.FEEDBACK_CHANNELS), landed["channel"]),
                "text": texts(landed["text"]),
                "answered_at": timestamps(landed["answered"]),
                "updated_at": timestamps(landed["updated"]),
            }
        )

    def _answer(self, unanswered: Rows, day: int) -> None:
        rng = stream(self._seed, "feedback.answers", day)
        chance, waits = rng.random(len(unanswered["at"])), rng.uniform(*p.LATE_ANSWER_DAYS, len(unanswered["at"]))
        answered = unanswered["at"] + (waits * DAY).astype(np.int64)
        happens = (chance < p.LATE_ANSWER_RATE) & (answered >= int(self._calendar.start(day)))
        after = {**unanswered, "answered": answered, "updated": answered}
        self._states.add(select(unanswered, happens), select(after, happens), day)
        self._answered_late += int((happens & (self._calendar.day_of(answered) < self._calendar.days)).sum())

    def truth(self) -> dict[str, dict[str, int] | int]:
        """Counts of landed feedback by topic and by language, and of feedback answered after it had landed."""
        result: dict[str, Counter[str]] = {"topics": Counter(), "languages": Counter()}
        for pair, count in sorted(self.realised.items()):
            topic, language = pair.split("/")
            result["topics"][topic] += count
            result["languages"][language] += count
        return {name: dict(counts) for name, counts in result.items()} | {"answered_late": self._answered_late}
