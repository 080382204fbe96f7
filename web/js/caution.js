/** Notices questions about health and law by their words; the note stands beside the answer, never in it. */

const WORDS = {
  medical: [
    /증상|통증|아파요|아픈데|아픕니다|두통|발열|열이 나|진단|처방|복용|부작용|수술|치료|질환|질병|환자|병원|응급|약국/,
    /(?<![가-힣])약(을|은|이|도|과|만|으로)?(?=\s|$|[?.!,])|(?<![가-힣])암(?=\s|에|이|을|은|$)|당뇨|혈압|알레르기/,
    /진통제|항생제|수면제|해열제|감기약|두통약|연고|주사/,
    /임신|유산|우울증|공황|자살|자해|죽고 싶|뇌졸중|심장마비|감염|백신|타이레놀|인슐린/,
    /\b(symptoms?|diagnos\w*|medic(ine|ation|al)s?|dos(e|age)s?|prescri\w*|side effects?|surgery|disease)\b/i,
    /\b(doctor|hospital|pregnan\w*|cancer|diabet\w*|blood pressure|allerg\w*|antibiotics?|painkillers?|ibuprofen)\b/i,
    /\b(paracetamol|insulin|vaccin\w*|depress(ion|ed)|suicid\w*|self-harm|chest pain|headache|fever|overdose)\b/i,
  ],
  legal: [
    /소송|고소|고발|변호사|법률|법적|판결|재판|위자료|이혼|양육권|상속|유언|계약서|위약금|손해배상|합의금/,
    /형사|민사|벌금|구속|체포|경찰 조사|해고|임금 체불|퇴직금|전세금|보증금|임대차|내용증명|저작권|불법/,
    /\b(lawsuits?|sue|suing|lawyers?|attorneys?|legal(ly)?|illegal|court|verdict|divorce|custody|inherit\w*)\b/i,
    /\b(contract|liab(le|ility)|damages|evict\w*|landlord|tenant|copyright|arrest(ed)?|criminal|felony|severance)\b/i,
  ],
};

/**
 * The cautions that belong beside the answer to this question.
 * @param {string} question
 * @returns {('medical'|'legal')[]}
 */
export function cautionsFor(question) {
  const text = question.normalize('NFC');
  return /** @type {any} */ (Object.keys(WORDS).filter((kind) => WORDS[kind].some((words) => words.test(text))));
}
