// What is shown of a call (call.js), and what the user can do.
'use strict';

// From Join to Leave; null in between.
let call = null;

async function join(name) {
  showError(null);
  element('join').disabled = true;
  sessionStorage.name = name;
  // By it the server knows this page again after a reload, and nobody else.
  sessionStorage.secret ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
  const mine = call = new Call({ name, key: sessionStorage.secret, changed: () => { if (call === mine) show(); }, told: log });
  try {
    const stream = await camera();
    await publishAll(mine, stream);
  } catch (error) {
    // One may watch and listen without.
    showError(`${explain(error)} You are in the room without camera and microphone.`);
  }
  if (call !== mine) return;
  mine.join();
  element('join').disabled = false;
  show();
}

async function publishAll(call, stream) {
  for (const track of stream.getTracks()) {
    await call.publish(track.kind === 'audio' ? 'microphone' : 'camera', track, stream);
  }
}

function leave() {
  const ended = call;
  call = null;
  delete sessionStorage.name;
  ended.leave();
  for (const one of Object.values(ended.own)) one?.track.stop();
  show();
}

function camera() {
  if (!navigator.mediaDevices) {
    throw new Error('The browser gives camera and microphone only to pages from localhost or https.');
  }
  return navigator.mediaDevices.getUserMedia({ audio: true, video: size() });
}

function size() {
  const width = Number(options.get('width')) || 640;
  return { width: { ideal: width }, height: { ideal: width * 3 / 4 }, frameRate: { ideal: Number(options.get('rate')) || 30 } };
}

function toggleMicrophone() {
  call.setMuted(!call.isMuted);
}

// Off means that nothing is sent and that its light is out.
async function toggleCamera() {
  const mine = call;
  const sent = mine.own.camera;
  if (sent) {
    sent.track.stop();
    await mine.publish('camera', null);
  } else {
    const stream = await navigator.mediaDevices.getUserMedia({ video: size() });
    await mine.publish('camera', stream.getVideoTracks()[0], mine.own.microphone?.stream ?? stream);
  }
}

async function toggleScreen() {
  const mine = call;
  if (mine.own.screen) {
    mine.own.screen.track.stop();
    return mine.publish('screen', null);
  }
  const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15 } } });
  const [track] = stream.getVideoTracks();
  // The browser has a button of its own for the end.
  track.onended = () => mine.publish('screen', null);
  await mine.publish('screen', track, stream);
}

// ---- What is shown ----

const STATES = {
  connecting: 'joining',
  joined: 'in the room',
  reconnecting: 'not in the room, coming back',
  ended: 'not in the room any more',
};

function show() {
  const status = call?.status ?? 'idle';
  const state = element('state');
  state.textContent = STATES[status] ?? 'not in the room';
  state.dataset.state = status;
  if (status === 'joined' && ['disconnected', 'failed'].includes(call.pc?.connectionState)) {
    state.textContent = 'in the room, but no packets get through';
    state.dataset.state = 'reconnecting';
  }
  const isIn = call !== null && status !== 'ended';
  element('entrance').hidden = isIn;
  element('tools').hidden = !isIn;
  element('count').textContent = status === 'joined' ? `${call.participants.size + 1} here` : '';
  if (isIn) showTools();
  showTiles(isIn ? tiles() : []);
}

function showTools() {
  const press = (id, pressed, text) => {
    element(id).setAttribute('aria-pressed', String(pressed));
    element(id).textContent = text;
  };
  press('microphone', call.isMuted, call.isMuted ? 'Unmute' : 'Mute');
  press('camera', !call.own.camera, call.own.camera ? 'Camera off' : 'Camera on');
  press('screen', Boolean(call.own.screen), call.own.screen ? 'Stop sharing' : 'Share screen');
  element('microphone').disabled = !call.own.microphone;
}

// One for each stream of each participant, and one for who sends nothing.
function tiles() {
  const all = [];
  const { microphone, camera, screen } = call.own;
  all.push({
    key: 'own', name: `${call.name} (you)`, classes: ['own', 'camera'], isOwn: true,
    stream: camera ? preview('camera') : null, hasPicture: Boolean(camera),
    isSpeaking: call.speaking.includes(call.me), notes: microphone && !call.isMuted ? [] : ['muted'], problems: [],
  });
  if (screen) {
    all.push({
      key: 'own screen', name: 'Your screen', classes: ['own', 'screen'], isOwn: true,
      stream: preview('screen'), hasPicture: true, isSpeaking: false, notes: [], problems: [],
    });
  }
  for (const who of call.participants.values()) {
    const publications = [...who.publications.values()];
    const streams = new Set(publications.filter(({ kind, label }) => kind === 'video' || label !== 'screen').map(({ stream }) => stream));
    for (const stream of streams.size ? streams : [null]) {
      all.push(tileOf(who, stream, publications.filter(one => one.stream === stream)));
    }
  }
  return all;
}

function tileOf(who, stream, publications) {
  const of = kind => publications.filter(one => one.kind === kind);
  const isScreen = publications.some(({ label }) => label === 'screen');
  const isLost = ['disconnected', 'failed'].includes(who.state);
  const notes = [];
  if (isLost) notes.push('connection lost, perhaps for a while');
  else if (who.state !== 'connected') notes.push('connecting');
  const muted = of('audio').find(({ mutedBy }) => mutedBy);
  if (muted) notes.push(muted.mutedBy === 'moderator' ? 'muted by the moderator' : 'muted');
  if (!publications.length) notes.push('sends nothing');
  return {
    key: `${who.id} ${stream}`,
    name: isScreen ? `Screen of ${who.name}` : who.name,
    classes: [isScreen ? 'screen' : 'camera', ...(isLost ? ['dim'] : [])],
    stream: call.streams.get(stream) ?? null,
    hasPicture: of('video').some(({ mutedBy }) => !mutedBy),
    isSpeaking: !isScreen && call.speaking.includes(who.id),
    notes,
    problems: publications.map(({ problem }) => problem).filter(Boolean),
  };
}

// A stream of its own for each own track: the one that is sent has the microphone in it.
const previews = new WeakMap();
function preview(what) {
  const { track } = call.own[what];
  if (!previews.has(track)) previews.set(track, new MediaStream([track]));
  return previews.get(track);
}

// Changes what there is rather than making it anew: a video that is moved or replaced stutters.
function showTiles(wanted) {
  const list = element('tiles');
  const present = new Map([...list.children].map(tile => [tile.dataset.key, tile]));
  for (const one of wanted) {
    const tile = present.get(one.key) ?? list.appendChild(makeTile(one));
    present.delete(one.key);
    fillTile(tile, one);
  }
  for (const tile of present.values()) tile.remove();
}

function makeTile({ key, isOwn }) {
  const tile = document.createElement('li');
  tile.dataset.key = key;
  tile.innerHTML = `
    <div class="picture"><video autoplay playsinline></video><span class="initial" aria-hidden="true"></span></div>
    <div class="caption"><span class="name"></span><span class="note"></span><span class="problem"></span></div>`;
  tile.querySelector('video').muted = Boolean(isOwn);
  return tile;
}

function fillTile(tile, { name, classes, stream, hasPicture, isSpeaking, notes, problems }) {
  tile.className = ['tile', ...classes, ...(isSpeaking ? ['speaking'] : [])].join(' ');
  const video = tile.querySelector('video');
  if (video.srcObject !== stream) video.srcObject = stream;
  video.setAttribute('aria-label', name);
  const fill = (selector, text) => {
    const part = tile.querySelector(selector);
    if (part.textContent !== text) part.textContent = text;
  };
  tile.querySelector('.initial').hidden = hasPicture;
  fill('.initial', [...name][0]?.toUpperCase() ?? '?');
  fill('.name', name);
  fill('.note', [...(isSpeaking ? ['speaks'] : []), ...notes].join(', '));
  fill('.problem', problems.join('; '));
}

function explain(error) {
  const known = {
    NotAllowedError: 'The browser was not allowed to.',
    NotFoundError: 'No camera or no microphone was found.',
    NotReadableError: 'Camera or microphone is in use by another program.',
  };
  return known[error.name] ?? error.message ?? String(error);
}

// Runs what a button does, and shows why it did not work.
const tries = action => async () => {
  showError(null);
  try {
    await action();
  } catch (error) {
    showError(explain(error));
  }
};

element('entrance').onsubmit = event => {
  event.preventDefault();
  join(element('name').value.trim());
};
element('microphone').onclick = tries(toggleMicrophone);
element('camera').onclick = tries(toggleCamera);
element('screen').onclick = tries(toggleScreen);
element('leave').onclick = tries(leave);

// A page that is reloaded while in the room goes back in.
if (sessionStorage.name) {
  element('name').value = sessionStorage.name;
  join(sessionStorage.name);
}
