"""What stands beside a name, and what a name is made of: the expressions and short lists of `names.py`.

Promises: every repetition is bounded, so hostile text stays linear; all work on folded ASCII text.
"""

from __future__ import annotations

import re

# Every repetition is bounded: hostile text must not make a search quadratic.
WORD = (
    r"(?:[A-Z]['-])?(?:[A-Z][a-z]{1,3})?[A-Z][a-z]{1,24}(?:['-][A-Z]?[a-z]{1,24}){0,2}|"
    r"[A-Z]{2,24}(?:['-][A-Z]{1,24}){0,2}"
)
PARTICLE = r"(?:van|von|de|del|della|la|las|los|der|den|bin|al|da|dos|du|di|el|ten|y)"
RUN = re.compile(rf"\b(?:{WORD})(?:[ \t]+(?:{PARTICLE}[ \t]+){{0,2}}(?:(?:{WORD})\b|[A-Z]\b\.?(?!\w)))*")
PIECE = re.compile(rf"{WORD}|[A-Z]\.?|[a-z]+")
INVERTED_LAST = re.compile(rf"\b(?:{WORD})(?:[ -](?:{WORD}))?\Z")
INVERTED_FIRST = re.compile(rf", ?((?:{WORD})\b(?: (?:(?:{WORD})\b|[A-Z]\b\.?))?)")
TITLE = re.compile(r"(?:mr|mrs|ms|miss|mx|master|madam|sr|sra|srta|senor|senora|don|dona|mme|herr|frau)\Z", re.I)
DOCTOR = re.compile(r"(?:dr|drs|doctor|prof|professor|dra|nurse|sister|pharmacist|doctora)\Z", re.I)
CREDENTIAL = re.compile(
    r",? ?(?:\(?(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|N\.?P\.?|PA(?:-C)?|P\.A\.|Ph\.?D\.?|DDS|DMD|DPM|LPN|LVN|"
    r"FNP|APRN|CRNA|CNM|MBBS|FACP|FACC|FACS|PharmD|RPh|PT|DPT|OT|LCSW|LMFT"
    r"|MPH|MSN|BSN|OD|DC|Psy\.?D|CNP|DNP|MA|CMA|SLP|RD|MS|JD|Esq|CEO|CTO|CIO|CFO)\b)"
)
CLINICIAN_LABEL = re.compile(
    r"(?:provider|physician|pcp|doctor|attending|referring|surgeon|dictated by|signed by|signed|cc|"
    r"seen by|reviewed by|ordered by|nurse|pharmacist|therapist|author"
    r"|performed by|interpreted by|consultant|resident|oncologist|cardiologist|radiologist|dentist|"
    r"medico|technician|by)\s*[:=|-]?\s*(?:Dr\.? )?\Z",
    re.I,
)
PATIENT_LABEL = re.compile(
    r"(?:\b(?:patient|pt|pat|paciente|member|client|insured|subscriber|guarantor|beneficiary|claimant|"
    r"decedent|child|mother|father|parent|guardian|spouse"
    r"|emergency contact|next of kin|nombre|apellidos|last name|first name|full name|name|patient'?s? "
    r"name|patient name)(?:'s name)?\s*(?:[:=|#]|\bis\b| - |-(?= ))?\s*|\bre\s*:\s*|\bre - "
    r"|\b(?:note|results?|report|records?|chart|labs?|update|referral|appointment|follow[- ]?up|"
    r"followup|refill|prescription|consult|letter|scan|mri|x-?ray) (?:for|on|of|re|regarding|about) "
    r"(?:patient |pt |our patient )?"
    r"|\b(?:results?|notes?|update|labs?|chart)\s*[-:]\s*|\bcalled |\bmy name is )\Z",
    re.I,
)
SOFT_LABEL = re.compile(
    r"\b(?:for|of|in|to|about|on|with|regarding|reach|saw|see|seen|met|treat(?:ing|ed)?|giv(?:e|en|"
    r"ing)|evaluat(?:e|ed|ing)|whether|if|does|can|should|is|has|did|when|that|and|or|call|from) \Z",
    re.I,
)
AFTER = re.compile(
    r"(?:'s)?\s*[(,|;-]?\s*(?:\(?(?:dob|d\.o\.b|mrn|date of birth|birth ?date|born|ssn|member|acct|"
    r"account|age|tel|ph|phone|cell|chart|id|nhc|pt id)\b"
    r"|(?:(?:is|was) |(?<=,) ?|(?<=\() ?)(?:now |currently )?(?:an? |the |our )?(?:[a-z]+ "
    r"){0,2}\d{1,3}[- ]?(?:(?:year|yr|month|week|day)s?[- ]old|y\.?/?o\b|anos)|age[d]? \d|\d{1,3}[ "
    r"-]?(?:y/?o|yo|[MF])\b"
    r"|(?:(?:is|was|has|had|will|would|should|needs?|wants?) (?:been |be |also |currently |now |still "
    r")?(?:admitted|seen|referred|diagnosed|discharged|scheduled|here|being|a (?:patient|pleasant)|"
    r"complain\w*|doing"
    r"|in (?:for|with|today|the office)|status|now|taking|having|started|prescribed|allergic|due|on|"
    r"to be seen|no|a history|not had|treated|recovering|experienc\w*|pregnant|call))\b"
    r"|(?:presents?|presented|denies|denied|reports|reported|complains|complained|states|stated|takes|"
    r"took|underwent|tested|returns|returned|came|comes|suffers|suffered|rates|relates|describes|has "
    r"had|lives|used to"
    r"|continues|felt|feels|missed|appears|takes|tolerated|developed|received|acude|refiere|"
    r"presenta)\b|(?:who|that) (?:has|had|is|was|presents|presented|takes|came)\b|\|? "
    r"?\d{1,2}/\d{1,2}/\d{2}|\(\w{0,4}-?\d{4,}|visit\b|\(?seen\b|\(\d{1,4}[-/]\d|\((?:jan|feb|mar|apr|"
    r"may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d|\(\d{1,2}[- ](?:jan|feb|mar|apr|may|jun|jul|aug|sep|"
    r"oct|nov|dec))",
    re.I,
)
GREETING = re.compile(
    r"(?:(?:^|\n)[> \t]*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|greetings|hola|thanks|"
    r"thank you|thx)[ ,]*(?:there )?"
    r"|(?:^|\n)[> \t]*(?:(?:best|kind|warm) )?(?:regards|wishes|sincerely|cheers|thanks|thank you|"
    r"best|yours|respectfully|cordially|love|later|atentamente|saludos)(?: again| so much| truly| "
    r"faithfully)?[,.!]*\s*\n\s*"
    r"|(?:^|\n)[> \t]*(?:from|to|cc|sent by|sender|x-sender|reply-to)\s*:\s*|--+ ?\n)\Z",
    re.I,
)
SENDER = re.compile(r"\s*(?:<[^>\s]+@|\[?mailto:|\([^)\s]+@|wrote:|writes:|said:)")
ORGANISATION = frozenset(
    "hospital clinic center centre medical health university institute department dept inc llc ltd "
    "corp corporation company co group association"
    " foundation society college school academy church bank street st. road rd ave avenue lane drive "
    "blvd boulevard court county city river lake"
    " park building room suite floor team services service systems system solutions technologies "
    "technology software international national press"
    " journal magazine times news network networks partners practice pharmacy laboratory "
    "laboratories labs insurance plan program project committee"
    " council board office agency administration act bill law treaty award prize day week month year "
    "conference disease syndrome sign test score scale"
    " index criteria maneuver procedure classification catheter drain tube splint fracture lymphoma "
    "virus reflex phenomenon test cell cells palsy ward"
    " unit wing hall house tower plaza mall store airport station bridge island mountain valley "
    "beach bay sea ocean hills care memorial family general"
    " community regional urgent emergency surgery therapy rehab nursing hospice physicians "
    "associates specialists imaging radiology oncology".split()
)
EPONYM_AFTER = re.compile(
    r"(?:'s?)? (?:disease|syndrome|sign|test|score|scale|criteria|maneuver|palsy|catheter|drain|"
    r"fracture|lymphoma|sarcoma|tumou?r|thyroiditis|phenomenon|esophagus|cell|cells|reflex"
    r"|index|classification|procedure|method|stage|grade|hernia|cyst|contracture|neuroma|monitor|"
    r"study|ultrasound|exponent|gene|virus|infection|fever|law|rule|equation|transform|theorem|"
    r"algorithm)s?\b",
    re.I,
)
STOP = frozenset(
    "he she it his her hers him they them their we us our you your my mine me i an a the and or but "
    "if in on at to for of by as is was are be been am do did does done has had have"
    " no not yes so than that this these those there then when where which who whom whose what why "
    "how all any each some such only own same too very can will shall may might must"
    " should would could now new old out up down over under about after again also just more most "
    "other into from with without re fw fwd cc bcc hi hello dear please thanks thank"
    " regards sincerely best mr mrs ms dr miss sir madam med rec no dob mrn ssn pt pts dos acct ref "
    "tel fax ph cell phone home work address email mail name date note notes chart"
    " record number id ok let see per via one two three four five six seven eight nine ten first "
    "second third last next today yesterday tomorrow mom dad mother father son daughter"
    " brother sister wife husband uncle aunt grandma grandpa patient patients provider doctor god "
    "lord king queen president senator colonel general captain sergeant officer inc xyz abc xx xxx "
    "xxxx doe's lastname firstname surname"
    " we're they're you're i'm it's that's don't can't let's he's she's what's who's here's there's "
    "i've i'll i'd you'll".split()
)
DETERMINER = re.compile(r"\b(?:the|a|an|this|these|its|our|their|your|my|every|each|any|some|no|all) \Z", re.I)
PLACE_BEFORE = re.compile(
    r"\b(?:lives? in|living in|moved (?:here )?(?:from|to)|from|born in|travel(?:l?ed)? to|trip to|"
    r"visit(?:ing|ed)? to|grew up in|located in|based in|at|near|in)\s\Z",
    re.I,
)

LOWER_PAIR = re.compile(r"\b([a-z]{3,}) ([a-z]{3,})\b")
LOWER_CUE = re.compile(
    r"\b(?:patient|pt|named|called|mr|mrs|ms|miss|hi ?,?|hello ?,?|hey ?,?|good morning ?,?|good "
    r"afternoon ?,?|thanks ?,?|okay ?,?|alright ?,?|bye ?,?|so ?,|for|whether|can|should|does|is) "
    r"([a-z]{3,})\b"
)
LOWER_AGED = re.compile(r"\b([a-z]{3,}) (?:is|was) an? \d{1,3}")

INTRODUCES = re.compile(
    r" (?:presents|presented|denies|denied|reports|complains|complained|states|underwent|tolerated|"
    r"was (?:seen|admitted|discharged|referred)|is an? \d{1,3}[- ]|, an? \d{1,3}[- ])"
)
