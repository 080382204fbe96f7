/** What the phone app says beyond the page's own words, in the language that the page shows. */

const WORDS = {
  ko: {
    insecure: '이 앱은 https로 열어야 합니다. 이 컴퓨터에서 시험할 때는 http://localhost도 됩니다.',
    unsupportedSimd: '이 브라우저는 WebAssembly SIMD를 지원하지 않아 모델을 실행할 수 없습니다. Chrome, Edge, Firefox, Safari를 최신판으로 올려 주세요.',
    unsupportedBuild: '이 브라우저에는 호환용 엔진이 필요한데 이 앱에는 들어 있지 않습니다. 최신 Chrome이나 Edge로 열거나, --wllama-compat을 주고 앱을 다시 만들어 주세요.',
    storage: '모델을 받으려면 {need} MB가 더 필요하지만 이 브라우저가 쓸 수 있는 공간은 {free} MB입니다. 사진이나 앱을 지운 뒤 다시 하기를 누르세요. 받은 조각은 남아 있습니다.',
    storageFull: '저장 공간이 가득 찼습니다. {loaded} MB는 받아 두었습니다. 공간을 비우고 다시 하기를 누르면 이어서 받습니다.',
    memory: '이 모델은 메모리가 약 {need} MB 필요한데 이 기기의 메모리 {have} MB 가운데 앱 하나가 쓸 수 있는 것은 절반쯤입니다. 다른 앱을 닫아 주세요. 다시 하기를 누르면 그래도 열어 봅니다.',
    memoryLoad: '모델을 여는 동안 메모리가 모자랐습니다. 다른 앱과 탭을 닫고 다시 하거나 더 작은 모델로 만든 앱을 쓰세요.',
    network: '내려받기가 끊겼습니다. {loaded} / {total} MB를 받아 두었으니 다시 하기를 누르면 이어서 받습니다.',
    offline: '모델이 아직 이 기기에 없고 네트워크도 없습니다. 연결한 뒤 다시 하기를 누르세요.',
    ask: '{size} MB입니다. 한 번 받으면 네트워크 없이 쓸 수 있습니다. 와이파이에서 받는 것이 좋습니다.',
    damaged: '{name}: 받은 파일이 만든 사람의 것과 다릅니다. 버렸으니 다시 하기를 누르세요. 또 그러면 앱을 올린 사람에게 알려 주세요.',
    engine: '엔진이 멈춰 새로 시작합니다. 다시 물어봐 주세요.',
    noPdf: '이 앱은 PDF를 읽지 못합니다. 컴퓨터에서 글(.txt)로 바꿔 넣어 주세요.',
    title: '이 기기',
    model: '모델 파일',
    onDevice: '기기에 저장됨',
    memoryUse: '메모리 (어림)',
    build: '엔진',
    buildDefault: '기본',
    buildCompat: '호환용 (느림)',
    threads: '스레드 {count}개',
    first: '첫 토큰까지',
    speed: '마지막 답의 속도',
    run30: '30초 측정',
    run300: '5분 측정',
    running: '{left}초 남음, {speed} 토큰/초',
    cancel: '그만',
    share: '결과 보내기',
    copied: '결과를 복사했습니다.',
    lasting: '지우지 않는다는 약속',
    yes: '예',
    no: '아니오',
    app: '이 앱',
    untested: '실제 기기에서 시험하지 않음',
    open: '오프라인으로 열림',
    perSecond: '{speed} 토큰/초',
    sustained: '{speed} 토큰/초 (처음 {first}, 끝 {last})',
    seconds: '{seconds}초',
    hint: '측정하는 동안 화면을 켜 두세요. 숫자는 이 기기를 떠나지 않습니다.',
  },
  en: {
    insecure: 'This app has to be opened over https; on the computer that serves it, http://localhost works too.',
    unsupportedSimd: 'This browser has no WebAssembly SIMD, so the model cannot run. Please update Chrome, Edge, Firefox or Safari.',
    unsupportedBuild: 'This browser needs the compatibility engine, which this app was made without. Use a current Chrome or Edge, or make the app again with --wllama-compat.',
    storage: 'The model needs {need} MB more, but this browser may use {free} MB. Remove some photos or apps and try again. Parts that came stay.',
    storageFull: 'The storage is full. {loaded} MB are kept. Free some space and try again: the download goes on from there.',
    memory: 'This model needs about {need} MB of memory, and an app can hope for half of this device’s {have} MB. Close other apps. Trying again opens it anyway.',
    memoryLoad: 'Memory ran out while the model was opened. Close other apps and tabs and try again, or use an app with a smaller model.',
    network: 'The download broke off. {loaded} of {total} MB are kept; trying again goes on from there.',
    offline: 'The model is not on this device yet, and there is no network. Connect and try again.',
    ask: 'It is {size} MB. Once it is here, the app needs no network. Wi-Fi is a good idea.',
    damaged: '{name}: what came is not what was published. It was thrown away; try again. If it happens again, tell whoever hosts this app.',
    engine: 'The engine stopped and starts anew. Please ask again.',
    noPdf: 'This app cannot read PDF files. Turn the file into text (.txt) on a computer.',
    title: 'This device',
    model: 'Model file',
    onDevice: 'Kept on the device',
    memoryUse: 'Memory (estimate)',
    build: 'Engine',
    buildDefault: 'default',
    buildCompat: 'compatibility (slow)',
    threads: '{count} thread(s)',
    first: 'First token after',
    speed: 'Speed of the last answer',
    run30: 'Measure for 30 s',
    run300: 'Measure for 5 min',
    running: '{left} s left, {speed} tokens/s',
    cancel: 'Stop',
    share: 'Share the results',
    copied: 'Results copied.',
    lasting: 'Promise to keep it',
    yes: 'yes',
    no: 'no',
    app: 'This app',
    untested: 'untested on hardware',
    open: 'Opens offline',
    perSecond: '{speed} tokens/s',
    sustained: '{speed} tokens/s (first {first}, last {last})',
    seconds: '{seconds} s',
    hint: 'Keep the screen on while it measures. The figures stay on this device.',
  },
};

/**
 * @param {keyof typeof WORDS.en} key
 * @param {Record<string, string|number>} [values] for the {braces}
 */
export function say(key, values = {}) {
  const language = document.documentElement.lang === 'ko' ? 'ko' : 'en';
  return WORDS[language][key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** Bytes as megabytes with one digit. @param {number} bytes */
export function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}
