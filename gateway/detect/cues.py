"""Cues: phrases that say whose text this is: one patient's, everyone's, a shop's, a mailing list's, a policy's.

Promises: a cue holds no identifier and decides nothing; the scorer weighs how many of each were met.
"""

from __future__ import annotations

CUES: dict[str, tuple[str, ...]] = {
    # One person is the patient here.
    "patient": (
        r"\bpts?\b", r"\b(?:this|the|your|our|my) (?:patient|pt)\b", r"\bpatient(?:'s)? (?:name|id|is|was|has|had|states|reports|denies)\b",
        r"\b\d{1,3}[ -](?:year|yr|month|week|day)s?[ -]old\b", r"\b\d{1,3} ?(?:y/?o|yo|yof|yom)\b", r"\ban? \d{1,3}-year\b",
        r"\bpaciente de \d+", r"\bde \d{1,3} anos\b", r"\bacude (?:a|por|al)\b",
    ),
    # How clinicians write about one visit.
    "chart": (
        r"\bpresent(?:s|ed|ing) (?:with|to|for|today)\b", r"\bdenie[sd]\b", r"\bcomplain(?:s|ed|ing|ts?) of\b", r"\bc/o\b", r"\bh/o\b",
        r"\bs/p\b", r"\bstatus[ -]post\b", r"\b(?:he|she) (?:has|had|was|is|states|reports|denies|underwent|takes|will|complains)\b",
        r"\b(?:his|her) (?:blood|pain|mother|father|symptoms|medications?|labs?|left|right|history|diabetes|pressure|surgery|results?)\b",
        r"\bhistory of (?:present|the)?\b", r"\bchief complaint\b", r"\breview of systems\b", r"\bpast (?:medical|surgical) history\b",
        r"\bphysical exam", r"\bassessment (?:and|&) plan\b", r"\bfollow[ -]?up\b", r"\bwas (?:admitted|discharged|diagnosed|seen|started|prescribed|treated)\b",
        r"\bvital signs?\b", r"\bmedications?:", r"\ballergies:", r"\bdiagnos[ie]s:", r"\bimpression:", r"\bdischarge summary\b", r"\bblood pressure\b",
        r"\b\d{2,3}/\d{2,3} ?(?:mmhg)?\b", r"\b\d+ ?mg\b", r"\btake[sn]? (?:one|two|\d)", r"\btest results?\b", r"\blab results?\b", r"\bappointment\b",
        r"\brefer(?:red|ral)\b", r"\bmedical record", r"\bheart rate\b", r"\bchest pain\b", r"\bshortness of breath\b",
    ),
    # Text about people in general.
    "population": (
        r"\b(?:patients|people|adults|women|men|children|persons|individuals|those|infants|subjects|participants) (?:with|who|are|have|may|were|should|can|in|of|over|under)\b",
        r"\b(?:most|many|some|all|older|other|more) (?:people|patients|women|men|children|adults|cases)\b", r"\bsymptoms? (?:may|can|include|of|are)\b",
        r"\b(?:is|are) an? (?:common |rare |chronic |serious |type of )?(?:disease|condition|disorder|infection|type|form|syndrome|cancer)\b",
        r"\brisk factors?\b", r"\btreatments? (?:may |can |for |include|depends|options)", r"\bcaused by\b", r"\bcan (?:cause|lead|be|help|also)\b",
        r"\bin (?:patients|adults|children|women|men|the united states)\b", r"\b(?:incidence|prevalence|mortality|morbidity)\b", r"\bguidelines?\b",
        r"\bwhat (?:is|are|causes)\b", r"\bhow (?:is|are|do|does|many)\b", r"\bgenes?\b", r"\b(?:inherited|mutations?)\b",
    ),
    "reader": (r"\byour (?:doctor|health|body|child|baby|provider|symptoms|risk|blood|skin)\b", r"\byou (?:may|can|should|have|might|are|will|need)\b", r"\bif you\b", r"\btalk to\b"),
    "research": (
        r"\bp ?[<=>] ?0?\.\d", r"\b95 ?% (?:ci|confidence)\b", r"\brandomi[sz]ed\b", r"\bcohort\b", r"\bet al\b", r"\bparticipants\b", r"\bn ?= ?\d+",
        r"\b(?:methods|results|conclusions?|objective|background|aims?):", r"\b(?:this|our|the present|a) (?:study|trial|analysis|review)\b", r"\bsignificantly\b",
        r"\bto (?:assess|determine|evaluate|investigate|compare|examine) (?:whether|the|if|how)\b", r"\baged (?:\d+|over|between)", r"\bpatients (?:undergoing|admitted|treated|aged)\b", r"\bodds ratio\b", r"\bretrospective", r"\bprospective", r"\bmulticent(?:er|re)\b", r"\bwere (?:compared|evaluated|assessed|analy[sz]ed|included|enrolled)\b",
    ),
    "market": (
        r"\bclick (?:here|below|on)\b", r"\bunsubscribe\b", r"\bremoved? from\b", r"\border (?:now|today|online)\b", r"\b(?:free|risk[- ]free|100 ?%)\b",
        r"\bguaranteed?\b", r"\bmoney[ -]back\b", r"\blimited time\b", r"\b(?:special|exclusive) offer\b", r"\bsave (?:up to|on|\$)", r"\bopt[- ]?(?:in|out)\b",
        r"\$\d", r"!!+", r"\bact now\b", r"\bno (?:obligation|risk|cost|prescription)\b", r"\blose (?:weight|\d+|up)\b", r"\bper month\b", r"\bdear (?:friend|sir|customer)\b",
    ),
    "business": (
        r"\blectures?\b", r"\bspeakers?\b", r"\bconference\b", r"\bseminar\b", r"\bregist(?:er|ration)\b", r"\brsvp\b", r"\bworkshop\b", r"\bclass(?:es)?\b", r"\bcourses?\b",
        r"\binstructor\b", r"\bhiring\b", r"\bresume\b", r"\bsalary\b", r"\binvoice\b", r"\bvendor\b", r"\bship(?:s|ped|ping|ment)?\b", r"\bpurchase\b", r"\bquote\b", r"\border (?:#|number|no)",
        r"\battn\b", r"\bsales\b", r"\bmeeting\b", r"\bagenda\b", r"\bbudget\b", r"\bwill (?:speak|present|talk|teach)\b", r"\bon call\b", r"\bregards\b", r"\btraining\b", r"\bnewsletter\b",
        r"\barticle\b", r"\bcopyright\b", r"\bnews\b", r"\bauthor\b", r"\bpublished\b", r"\bcustomers?\b", r"\bdemo\b", r"\bproducts?\b",
    ),
    "listmail": (
        r"^> ?", r"\bwrote:", r"\bmailing list\b", r"\bsubscri(?:be|ption)\b", r"^-- ?$", r"^_{20}", r"^-{20}", r"\bforwarded\b", r"^(?:from|to|cc|sent|subject|date|in-reply-to|message-id): ",
        r"\blistinfo\b", r"\blinux\b", r"\bwindows\b", r"\bkernel\b", r"\bserver\b", r"\bsoftware\b", r"\bperl\b", r"\brpm\b", r"\binstall(?:ed)?\b", r"\bcompile\b",
        r"\bbugs?\b", r"\bcode\b", r"\bfiles?\b", r"\bdirectory\b", r"\bconfig\b", r"\bproject\b", r"\bcompany\b", r"\[\w+\] ",
    ),
    "policy": (
        r"\b(?:policy|policies|procedures?)\b", r"\bworkforce\b", r"\bshall\b", r"\bmust\b", r"\bcovered entit", r"\bbusiness associates?\b", r"\bhipaa\b",
        r"\bcomplian(?:ce|t)\b", r"\b(?:privacy|security) officer\b", r"\b(?:45|cfr) (?:cfr|\d)", r"\bprotected health\b", r"\b(?:e?phi)\b", r"\bsafeguards?\b",
        r"\bbreach(?:es)?\b", r"\bregulat(?:ion|ory)", r"\baudits?\b", r"\bapplicable standards?\b",
    ),
    "family": (r"\bmy (?:mother|father|son|daughter|wife|husband|mom|dad|child|baby|sister|brother|grand\w+|partner)\b", r"\bemergency contact\b", r"\bnext of kin\b"),
    "first": (r"\bi (?:have|had|was|am|take|took|feel|suffer|been|got)\b", r"\bi'(?:m|ve)\b", r"\bmy (?:doctor|blood|pain|knee|back|symptoms|test|lab|results?|medication|prescription|appointment|chart|surgery|insurance)\b"),
    "blank": (r"\[(?:name|date|location|id|phone|age|hospital|redacted|patient|contact|doctor)[^\]]{0,12}\]", r"_{4,}", r"\bxx+[/-]xx+", r"\*\*\w+"),
    "header": (r"^(?:name|patient|patient name|last name|first name)\s*[|,;\t]\s*(?:dob|mrn|first|last|date|id|phone|given|birth)",),
}  # fmt: skip
"""Cue class → expressions, caseless, `^` and `$` at line ends."""

COUNTED = frozenset({"patient", "chart"})
"""Classes whose every occurrence counts; of the others each expression counts once."""

NAMES = tuple(CUES)
