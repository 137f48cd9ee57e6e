// The live thread. Without this script every page works by its forms and links; with it words appear as they are written.
//
// The server renders everything: a turn whose state changes is fetched anew, and only words that are being written are put
// in here, as text and never as HTML. Each piece says at which byte it begins, so that it does not matter whether the page
// had it already: what is there is skipped, and what is missing is fetched.
'use strict'

const byId = id => document.getElementById(id)
const parse = html => new DOMParser().parseFromString(html, 'text/html')
const wait = ms => new Promise(done => setTimeout(done, ms))
const encoder = new TextEncoder()
const bytesOf = text => encoder.encode(text).length

// --- Every page

function improve(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime)
    const today = at.toDateString() === new Date().toDateString()
    time.textContent = at.toLocaleString([], today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' })
  }
  for (const button of root.querySelectorAll('button[data-copy]')) button.hidden = !navigator.clipboard
  for (const picture of root.querySelectorAll('a.picture img')) picture.loading = 'lazy'
}

document.addEventListener('click', async event => {
  const button = event.target.closest('button[data-copy]')
  if (!button) return
  const texts = [...button.closest('.turn').querySelectorAll('.message.assistant .text')]
  await navigator.clipboard.writeText(texts.map(text => text.innerText).join('\n\n'))
  button.textContent = 'Copied'
  setTimeout(() => { button.textContent = 'Copy' }, 1500)
})

document.documentElement.classList.add('scripted')
improve(document)

// --- A thread that is open

const thread = document.querySelector('[data-live-thread]')
if (thread) open(thread)

function open(thread) {
  const id = thread.dataset.liveThread
  const turns = byId('turns')
  const ask = byId('ask')
  const text = byId('text')
  const newest = byId('newest')
  let cursor = thread.dataset.after
  let source
  let failures = 0

  // --- Scrolling: the page follows the words until the reader scrolls up

  let follows = true
  const root = document.scrollingElement
  const isAtEnd = () => root.scrollHeight - root.scrollTop - root.clientHeight < 80
  const toEnd = () => { root.scrollTop = root.scrollHeight }
  let lastTop = root.scrollTop
  addEventListener('scroll', () => {
    // Only a move upwards is the reader's: what grows below moves nothing.
    if (root.scrollTop < lastTop - 4) follows = isAtEnd()
    else if (isAtEnd()) follows = true
    lastTop = root.scrollTop
    newest.hidden = follows || isAtEnd()
  }, { passive: true })
  newest.addEventListener('click', () => { follows = true; toEnd(); newest.hidden = true; text?.focus() })
  function grown() {
    if (follows) toEnd()
    else newest.hidden = isAtEnd()
  }

  // --- What is said to those who do not see it

  const say = words => { if (byId('state').textContent !== words) byId('state').textContent = words }
  function note(words) {
    byId('note').textContent = words ?? ''
    byId('note').hidden = !words
  }
  function announce(turn) {
    const line = turn.querySelector('.state')?.textContent.trim()
    const teller = turn.dataset.teller ?? 'The storyteller'
    say({ queued: line, typing: `${teller} is writing.`, waiting: `${teller} waits for your decision.`, done: `${teller} has answered.` }[turn.dataset.state] ?? line ?? '')
  }

  // --- Turns

  const turnOf = seq => byId(`turn-${seq}`)
  const hasText = message => message.querySelector('.text.plain')?.textContent ?? ''

  // Puts in a turn as the server renders it now. Words that came already and are not stored yet are kept.
  function put(fresh) {
    const seq = Number(fresh.dataset.seq)
    const old = turnOf(seq)
    improve(fresh)
    const focused = old?.contains(document.activeElement) ? document.activeElement.id : null
    const written = old ? old.querySelector('form input[name="title"]')?.value : null
    for (const message of fresh.querySelectorAll('[data-streaming]')) {
      const before = byId(message.id)
      if (before?.hasAttribute('data-streaming') && Number(before.dataset.bytes) > Number(message.dataset.bytes)) {
        message.querySelector('.text').textContent = hasText(before)
        message.dataset.bytes = before.dataset.bytes
      }
    }
    if (old) {
      old.replaceWith(fresh)
    } else {
      const later = [...turns.children].find(turn => Number(turn.dataset.seq) > seq)
      turns.insertBefore(fresh, later ?? null)
    }
    const title = fresh.querySelector('form input[name="title"]')
    if (title && written) title.value = written
    if (focused) (byId(focused) ?? text)?.focus({ preventScroll: true })
    byId('nothing').hidden = true
    grown()
    return fresh
  }

  async function refresh(seq) {
    const answer = await fetch(`/threads/${id}/turns/${seq}`, { redirect: 'manual' })
    if (answer.status === 404) { turnOf(seq)?.remove(); return null }
    if (!answer.ok) throw new Error(`the turn cannot be read: ${answer.status}`)
    const fresh = parse(await answer.text()).querySelector('.turn')
    return fresh && put(document.adoptNode(fresh))
  }

  // An answer that begins: nothing of it is written yet.
  function begin(seq, message) {
    const turn = turnOf(seq)
    const fresh = byId('answer').content.firstElementChild.cloneNode(true)
    Object.assign(fresh, { id: `message-${message}` })
    fresh.dataset.message = message
    fresh.querySelector('strong').textContent = turn.dataset.teller ?? ''
    turn.insertBefore(fresh, turn.querySelector('.foot'))
    grown()
  }

  // Appends what of a piece is not there yet. Whether it fits; if not, something before it is missing.
  function append(message, offset, piece) {
    const have = Number(message.dataset.bytes)
    if (offset > have) return false
    if (!message.hasAttribute('data-streaming')) return true
    const bytes = encoder.encode(piece)
    if (offset + bytes.length <= have) return true
    const rest = new TextDecoder().decode(bytes.subarray(have - offset))
    message.querySelector('.text').append(document.createTextNode(rest))
    message.dataset.bytes = offset + bytes.length
    grown()
    return true
  }

  // --- Events, one after the other

  const handlers = {
    run_queued: ({ seq }) => refresh(seq),
    run_started: async ({ seq }) => announceIf(await refresh(seq)),
    run_settled: async ({ seq }) => { announceIf(await refresh(seq)); askForTitle() },
    turn_superseded: ({ seq }) => { turnOf(seq)?.remove() },
    tool_call: async ({ run }) => {
      const turn = turns.querySelector(`[data-run="${Number(run)}"]`)
      if (turn) announceIf(await refresh(turn.dataset.seq))
    },
    message_started: async ({ seq, message, role }) => {
      if (byId(`message-${message}`)) return
      if (role !== 'assistant' || !turnOf(seq)) await refresh(seq)
      else begin(seq, message)
    },
    message_appended: async ({ message, offset, text }) => {
      for (let tries = 0; tries < 20; tries++) {
        const place = byId(`message-${message}`)
        // A message that is not here is of a turn that has left the page.
        if (!place || append(place, offset, text)) return
        await refresh(place.closest('.turn').dataset.seq)
        await wait(100)
      }
      throw new Error('words are missing')
    },
    message_replaced: ({ seq }) => refresh(seq),
    message_settled: ({ seq }) => refresh(seq)
  }
  const announceIf = turn => { if (turn) announce(turn) }

  let line = Promise.resolve()
  function handle(name, event) {
    const stream = source
    line = line.then(async () => {
      // What an earlier stream said is told again by the one in its place.
      if (stream !== source) return
      await handlers[name](JSON.parse(event.data))
      cursor = event.lastEventId
      failures = 0
    }).catch(error => { console.warn(error); if (stream === source) again() })
  }

  function follow() {
    source?.close()
    const stream = source = new EventSource(`/threads/${id}/events?after=${encodeURIComponent(cursor)}`)
    for (const name of Object.keys(handlers)) stream.addEventListener(name, event => handle(name, event))
    stream.addEventListener('open', () => { thread.dataset.connected = 'yes'; if (!byId('note').dataset.sent) note() })
    stream.addEventListener('error', () => {
      delete thread.dataset.connected
      // The browser comes back by itself, unless the answer was none: a restart, a sign-out, a thread that is gone.
      if (stream === source && stream.readyState === EventSource.CLOSED) again()
    })
  }

  // Begins again, from the page as it is now, at growing intervals.
  async function again() {
    source?.close()
    const mine = source = null
    delete thread.dataset.connected
    await wait(Math.min(500 * 2 ** failures++, 10_000) * (0.75 + Math.random() / 2))
    if (source !== mine) return
    try {
      const answer = await fetch(location.pathname, { redirect: 'manual' })
      if (answer.type === 'opaqueredirect' || answer.status === 404) { location.reload(); return }
      if (!answer.ok) throw new Error(`the page cannot be read: ${answer.status}`)
      const page = parse(await answer.text())
      const fresh = page.querySelector('[data-live-thread]')
      const there = new Set()
      for (const turn of [...page.querySelectorAll('.turn')]) {
        there.add(turn.id)
        put(document.adoptNode(turn))
      }
      for (const turn of [...turns.children]) if (!there.has(turn.id)) turn.remove()
      cursor = fresh.dataset.after
      follow()
    } catch (error) {
      note('The connection is lost. Trying again…')
      again()
    }
  }

  // --- Titles, which a model gives a little after the first answer

  async function askForTitle() {
    for (let tries = 0; 'untitled' in thread.dataset && tries < 6; tries++) {
      await wait(1000)
      const answer = await fetch(`/threads/${id}/title`, { redirect: 'manual' }).catch(() => null)
      const title = answer?.ok ? await answer.text() : ''
      if (!title) continue
      delete thread.dataset.untitled
      byId('title').textContent = title
      document.title = `${title} · Storyteller`
      byId('new-title').value = title
    }
  }

  // --- Forms that leave the page where it is

  async function send(form) {
    const body = new FormData(form)
    const file = body.get('picture')
    if (file instanceof File && file.size === 0) body.delete('picture')
    const isQuestion = form === ask
    const button = form.querySelector('button:not([type="button"])')
    button.disabled = true
    note()
    try {
      // Forms without files are sent as such: the server reads each in its own way.
      const answer = await fetch(form.action, {
        method: 'POST', body: isQuestion ? body : new URLSearchParams(body), redirect: 'manual', headers: { 'x-live': '1' }
      })
      if (answer.ok) { asked(parse(await answer.text()).querySelector('.turn')); return }
      if (answer.type === 'opaqueredirect') return
      note(parse(await answer.text()).querySelector('[data-problem]')?.textContent ?? 'That did not work.')
    } catch {
      note('The app cannot be reached. Nothing was sent twice: try again.')
    } finally {
      button.disabled = false
    }
  }

  // A question that waits for its turn is shown at once: of its run the events tell when the one before has ended.
  function asked(turn) {
    follows = true
    if (turn && !turnOf(turn.dataset.seq)) announce(put(document.adoptNode(turn)))
    text.value = ''
    byId('picture').value = ''
    byId('picture-name').textContent = ''
    byId('picture-about').classList.remove('problem')
    ask.elements.key.value = [...crypto.getRandomValues(new Uint8Array(24))].map(byte => byte.toString(16).padStart(2, '0')).join('')
    grow()
    text.focus()
  }

  document.addEventListener('submit', event => {
    if (!event.target.matches('form[data-live]')) return
    event.preventDefault()
    if (event.target === ask && !isReady()) return
    send(event.target)
  })

  // --- The question

  function isReady() {
    const file = byId('picture').files[0]
    if (!text.value.trim() && !file) { note('Write something first.'); text.focus(); return false }
    return isFit(file)
  }
  function isFit(file) {
    const most = Number(byId('picture').dataset.most) * 1_000_000
    const kinds = byId('picture').accept.split(',')
    const problem = !file ? '' : file.size > most ? 'This picture is too large.' : kinds.includes(file.type) ? '' : 'This is none of these pictures.'
    note(problem)
    byId('picture-name').textContent = file ? `: ${file.name}` : ''
    byId('picture-about').classList.toggle('problem', Boolean(problem))
    return !problem
  }
  function grow() {
    text.style.height = 'auto'
    text.style.height = `${Math.min(text.scrollHeight + 2, innerHeight / 3)}px`
  }
  if (ask) {
    text.addEventListener('input', grow)
    text.addEventListener('keydown', event => {
      // Enter that ends a composition, as in Japanese, is none of ours.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      ask.requestSubmit()
    })
    byId('picture').addEventListener('change', event => isFit(event.target.files[0]))
    addEventListener('dragover', event => event.preventDefault())
    addEventListener('drop', event => {
      event.preventDefault()
      if (event.dataTransfer.files.length) { byId('picture').files = event.dataTransfer.files; isFit(event.dataTransfer.files[0]) }
    })
  }

  toEnd()
  follow()
  addEventListener('pagehide', () => source?.close())
  // From the browser's memory of pages: what happened meanwhile is fetched.
  addEventListener('pageshow', event => { if (event.persisted) { failures = 0; again() } })
}
