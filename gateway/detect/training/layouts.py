"""The layouts that `templates.py` fills. "subject | body"."""

PHI = (
    "Question | Can we start {drug} in {name}, a {age} year old with {condition}?",
    "quick one | Should {name} keep taking {drug} before the {test} on {date}?",
    "Dosing | What dose of {drug} is right for {first} {last}, {age}yo {sex} with {condition} and {condition2}?",
    "{condition} | Interaction check: {drug} with {drug2} for patient {first} {last} ({dob}).",
    "Differential | {age}-year-old {sex} named {first} {last} from {city}, {state}, seen {date} for "
    "{condition}. What else to rule out?",
    "Your appointment | Dear {name},\n\nthis is a reminder of your {test} on {date} at {time} at "
    "{clinic}. Please stop {drug} two days before.\n\n{clinic}\n{phone}",
    "Your results | Dear {name},\n\nyour {test} came back. It shows {condition}. Please call us at "
    "{phone} to discuss treatment with {drug}.\n\nKind regards,\n{doctor}",
    "Referral | Dear colleague,\n\nthank you for seeing {name}, born {dob}, who has {condition}. "
    "Current medication: {drug}, {drug2}. Please advise.\n\n{doctor}",
    "Referral {last} | I would like to refer {first} {last} (MRN {record}) to your service for "
    "evaluation of {condition}. Tel {phone}.",
    "Lab report | Patient Name: {name}\nDate of Birth: {dob}\nOrdered by: {doctor}\n\nTest: {test}\n"
    "Impression: findings consistent with {condition}.",
    "Claim | Claim for member {member} ({first} {last}) was denied: {test}, date of service {date}. "
    "Diagnosis: {condition}. Please appeal.",
    "Statement | Account {record}, guarantor {name}: balance {amount} for {test} on {date}. Questions? {phone}",
    "Prior authorization | We request authorization of {drug} for {first} {last}, DOB {dob}, ID "
    "{member}, diagnosis {condition}.",
    "refill | pt {last} needs refill on {drug}, pharm {phone}, last seen {date} for {condition}",
    "{last} | {first} {last} called, still has pain after the {test}. Wants to stop {drug}. Call back {phone}.",
    "My son | Hello, my son {first} {last} was diagnosed with {condition} and takes {drug}. He was "
    "born {dob}. Can he come on {date}?\nThanks, {name2}\n{phone2}",
    "records | Please send the chart of {name} to {email}. SSN {ssn}. He was treated for {condition} in {date}.",
    "Discharge | DISCHARGE SUMMARY\nNAME: {name}\nMRN: {record}\nADMITTED: {date}\nDISCHARGED: "
    "{date2}\nDIAGNOSIS: {condition}\nMEDICATIONS: {drug} daily, {drug2} at night.\nFollow-up with "
    "{doctor}.",
    "Schedule | name,dob,reason\n{name2},{dob},{condition}\n{first} {last},{date},{test}\n",
    "Consult | Asked to see this {age}-year-old {sex} with {condition}. Ms. {last} denies fever, "
    "chest pain or shortness of breath. She takes {drug}. Exam unremarkable. Plan: {test}.",
    "note | MRN {record}: {condition}, started {drug}, {test} on {date}",
    "Consent | {name} of {address} consents to the release of records on {condition} to {name2}.",
    "Aged patient | {old} year old {sex} in {city}, {state} with {condition}, on {drug}. Daughter "
    "can be reached at {phone}.",
    "Informe | Paciente: {first} {last}. Fecha de nacimiento: {dob}. NHC: {record}. Paciente de "
    "{age} anos con antecedentes de hipertension, acude a urgencias por dolor y fiebre. Tratamiento: "
    "{drug}.",
    "visit | Doctor: Good morning, {first}. How are you today?\nPatient: Not so good. My {condition} "
    "is back and the {drug} gives me nausea.\nDoctor: Okay {first}, let us do the {test} and check "
    "your blood pressure.",
    "FW: | Begin forwarded message\n> {first} {last} ({email}) has been admitted with {condition}. "
    "Room 12. {doctor} is attending.",
    "Insurance | {first} {last}, policy number {member}, had surgery for {condition} on {date} at {clinic}.",
    "device | Pacemaker serial number {record} was implanted on {date} for {condition}; remote check scheduled.",
    "Thank you | Hi {doctor}, thanks for everything. Since you changed my {drug} my {condition} is "
    "much better. See you {date}. {first} {last}, {phone}",
    "fwd | {first} {last} presents with {condition}. Started {drug}.",
    "sx | {first} {last} ({age}F) {condition}, {test} pending",
    "Vaccine | {first} {last}'s immunization record: influenza {date}, covid {date2}. DOB {dob}.",
)
OTHER = (
    "Question | What is the first-line treatment of {condition} in a {age}-year-old {sex} who already takes {drug}?",
    "Dosing | How should {drug} be dosed in {condition} with reduced renal function?",
    "Question | Is {drug} safe together with {drug2} during pregnancy?",
    "Guideline | Does the guideline recommend {test} every year for people with {condition}? Asking in general.",
    "eponyms | When should a Foley catheter or a Jackson-Pratt drain be removed after surgery? Is "
    "Murphy's sign reliable in older patients? Does the Glasgow Coma Scale apply?",
    "my health | I am a {age} year old {sex} and have had {condition} for years. I take {drug} and "
    "feel dizzy. Should I worry? Are there side effects?",
    "help | Do you have information about {condition}? I was diagnosed last month and want to know "
    "about treatment and {drug}. Thank you.",
    "Lecture | {doctor} will speak about {condition} on {weekday} at {time} in the conference room. "
    "Lunch is provided. Please register with {email}.",
    "Grand rounds | Speakers: {doctor} and {doctor2}. Topic: new drugs for {condition}. {clinic}, "
    "{city}. Call {phone} to register.",
    "Schedule | {doctor} is on call for cardiology this week, {doctor2} covers the ICU on {weekday}. "
    "Page the operator at {phone}.",
    "Newsletter | Spring is here! Our clinic offers free {test} screening. People with {condition} "
    "should talk to their doctor about {drug}. Call {phone} or visit {url}. {clinic}, {address}",
    "Opening hours | {clinic} is closed on {date}. For emergencies call 911. Flu vaccines are "
    "available from {date2}. {phone}",
    "Policy | All workforce members shall protect health information. The policy covers names, "
    "medical record numbers, social security numbers and dates of birth. Violations must be reported "
    "to the privacy officer at {phone}. Effective {date}.",
    "HIPAA training | Reminder: annual HIPAA compliance training is due on {date}. A covered entity "
    "must keep audit logs of access to patient records. Contact {first} {last}, compliance officer, "
    "{email}.",
    "Agreement | This business associate agreement between {company} and {clinic} is effective "
    "{date}. The business associate shall use appropriate safeguards to prevent breach of protected "
    "health information.",
    "Abstract | Background: {condition} is common. Methods: {n} patients with {condition} were "
    "randomized to {drug} or placebo between 2001 and 2006 at two hospitals. Results: mortality was "
    "reduced (p < 0.01, 95% CI 0.4-0.9). Conclusion: {drug} is effective.",
    "Abstract | Objective: to assess {test} in children with {condition}. Kaplan-Meier curves and "
    "Cox regression were used in a retrospective cohort of {n} patients. Conclusions: {test} may "
    "predict outcome.",
    "Article | {condition} can be caused by many things. Symptoms include pain and fatigue. Your "
    "doctor may order a {test}. Treatments include {drug} and surgery. Risk factors are smoking and "
    "family history.",
    "Course | {condition} course starts {date} at {clinic}. Instructor: {first} {last}, RN. Register "
    "with {email}, {phone}.",
    "Quote | {company} quotes {amount} for a {test} system, ship to Radiology, {address}. Attn: "
    "{first} {last} {phone}. Order number {record}.",
    "Article | {date}. By {first} {last}. A new study in {city} says that {condition} is rising. "
    "Professor {last} of the university said patients with {condition} should see a doctor. {name2} "
    "disagrees. {url}",
    "Abstract | To assess whether {drug} helps. {n} patients aged 65 and over with {condition} from "
    "{clinic}, {city}, were followed. Results: p<0.05 ({last} et al, 2004).",
    "Re: book | {first} {last} wrote:\n> the chapter about {condition} in the middle ages was great\n"
    "Yes, people died early then. See you on {date}. {name2}",
    "IT | The interface to the lab system was down on {date} from {time}. {first} {last} restarted "
    "the server. No patient data was lost. Ticket {record}.",
    "EHR upgrade | Hi {first}, the patient portal will be upgraded on {weekday}. Please tell nurses "
    "and physicians. Regards, {name2}, {company}, {phone}",
    "Invoice | Invoice {record} from {company}: 40 boxes of gloves, 12 syringes, total {amount}, due "
    "{date}. Contact {name2}, {phone}.",
    "Lunch | Hi {first}, are you free for lunch on {weekday}? I will bring {first} along. See you, {last}",
    "Meeting | Minutes of {date}: present {name}, {name2}. The budget of {amount} was approved. Next "
    "meeting {date2} at {time}. Action: {first} {last} to call {company} at {phone}.",
    "Order | Thank you for your order {record}, {first} {last}! It ships to {address}. Track it at "
    "{url} or call {phone}.",
    "Account | Dear {name}, your card ending in 4242 was charged {amount} on {date}. If this was not "
    "you, call {phone}. Account {record}.",
    "Travel | {name} flies to {city} on {date}, returns {date2}. Passport {record}. Hotel: {address}, {phone}.",
    "CV | {first} {last}\n{address}\n{phone}\n{email}\nBorn {dob}. Nurse with ten years at {clinic}, "
    "certified in oncology nursing.",
    "Job | {clinic} is hiring a registered nurse for its oncology unit. Benefits include health "
    "insurance. Send your resume to {name2}, {email}, {phone}.",
    "Offer | Lose weight now! Our doctors prescribe {drug} online, no prescription needed. Click "
    "here {url}. 100% money-back guarantee. To be removed click {url}",
    "Insurance offer | Low-cost health insurance for you and your family. Call {phone} now for a "
    "free quote. {company}, {address}",
    "News | {first} {last} won the race in {city} on {date}, ahead of {name2}. Thousands watched.",
    "IT | {first} {last} wrote:\n> the kernel panics when I plug the disk\nTry version 2.4.{age} and "
    "send the log to {email}.\n-- \n{name2}\n{url}",
    "School | Dear parents, {first} {last} will be the new teacher from {date}. Please call {phone} with questions.",
    "Condolence | We are sad that {name} has died. The service is on {date} at St. Mary's church, {address}.",
    "Estimate | {company} offers a new {test} machine for {amount}. Contact {first} {last}, sales, {phone}, {email}.",
    "Case | The patient is a {age}-year-old {sex} with {condition} who presented with fever and "
    "cough. He denies chest pain. He takes {drug}. {test} was normal. Plan: continue {drug2} and "
    "follow up in two weeks.",
    "Case | This {age}-year-old {sex} was seen today for {condition}. Past medical history of "
    "hypertension. Blood pressure 120/80, pulse 72. Assessment: stable. Continue Lipitor and {drug}. "
    "Return in 3 months.",
    "Case | A {age} y/o {sex} s/p {test}. Referred by {doctor}. No fever. Wound healing well. {drug} 5 mg daily.",
)
HEADS = (
    "PATIENT: {name}\nDATE OF BIRTH: {dob}\nMEDICAL RECORD NUMBER: {record}\n\n",
    "Dear {doctor},\n\nthank you for referring {name}, whom I saw on {date}.\n\n",
    "Name {first} {last}, DOB {dob}, #{record}.\n",
    "{first} {last} is a {age} year old {sex}.\n",
    "Re {name}, born {dob}:\n\n",
    "Visit of {date}, Mrs. {last}.\n\n",
    "Subjective for {name} ({phone}).\n",
)
TAILS = (
    "\n\n{first} {last} can be reached at {phone}.",
    "\nPlease call {name} on {phone2}.",
    "\n\nHome address: {address}",
    "\n\ncc: {doctor2}\nMRN {record}",
    "\nMr. {last} lives in {city}, {state}.",
)
