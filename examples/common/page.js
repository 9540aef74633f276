// What all pages have in common: their parts by name, what the address asks for, how things stand and what has happened.
'use strict';

const options = new URLSearchParams(location.search);
const element = id => document.getElementById(id);

function showState(state) {
  element('state').textContent = state;
  element('state').dataset.state = state;
}

function showError(text) {
  element('error').textContent = text ?? '';
  element('error').hidden = !text;
}

// Adds a line to the top of the log, which has a hundred or as many as the page says.
function log(text, kind) {
  const line = document.createElement('li');
  if (kind) line.className = kind;
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString();
  line.append(time, text);
  const list = element('log');
  list.prepend(line);
  while (list.children.length > Number(list.dataset.most ?? 100)) list.lastChild.remove();
}
