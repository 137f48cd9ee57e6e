// What all pages have: times in the reader's zone, answers that can be copied, menus that close, and tabs that are left when their
// user has signed out in another one. What a conversation has beyond that is in place.js, composer.js and live.js.
'use strict'

const byId = id => document.getElementById(id)
const parse = html => new DOMParser().parseFromString(html, 'text/html')
const wait = ms => new Promise(done => setTimeout(done, ms))

// What is said to those who do not see it.
function say(words) {
  const state = byId('state')
  if (state && state.textContent !== words) state.textContent = words
}

// It makes the same of the same, so that a piece that comes again can be told from one that has changed.
function improve(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime)
    const today = at.toDateString() === new Date().toDateString()
    time.textContent = at.toLocaleString([], today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' })
  }
  for (const button of root.querySelectorAll('button[data-copy]')) button.hidden = !navigator.clipboard
  for (const picture of root.querySelectorAll('a.picture img')) picture.loading = 'lazy'
  // What may be scrolled sideways can be reached by the keyboard in every browser.
  for (const wide of root.querySelectorAll('.text :is(pre, table), .wide')) wide.tabIndex = 0
}

document.addEventListener('click', async event => {
  const button = event.target.closest('button[data-copy]')
  if (!button) return
  const texts = [...button.closest('.turn').querySelectorAll('.message.assistant .text')]
  let said = 'Copied'
  try {
    await navigator.clipboard.writeText(texts.map(text => text.innerText).join('\n\n'))
  } catch {
    said = 'The browser does not allow it'
  }
  button.textContent = said
  say(said)
  setTimeout(() => { button.textContent = 'Copy'; say('') }, 1500)
})

// A menu closes as menus do: by Escape, and by a click somewhere else.
document.addEventListener('click', event => {
  for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(event.target)) menu.open = false
})
document.addEventListener('keydown', event => {
  const menu = event.key === 'Escape' && document.querySelector('details.menu[open]')
  if (!menu) return
  menu.open = false
  menu.querySelector('summary').focus()
})

// The second click of two sends nothing twice. What a script took over is none of this: it is heard here last. A form that was
// sent for nothing, as where its user stopped the browser, can be sent again soon.
addEventListener('submit', event => {
  const form = event.target
  if (event.defaultPrevented) return
  if (form.dataset.sent) { event.preventDefault(); return }
  form.dataset.sent = 'yes'
  setTimeout(() => delete form.dataset.sent, 2000)
})
addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent
})

// Drafts are a tab's own, and go when its user signs out.
const DRAFT = 'draft '
const FORM = `${DRAFT}form `
const user = document.body.dataset.user ?? ''

function forgetDrafts() {
  for (const name of Object.keys(sessionStorage)) if (name.startsWith(DRAFT)) sessionStorage.removeItem(name)
}
// What is too large for the browser's memory is not kept.
function keep(name, value) {
  try { sessionStorage.setItem(name, value) } catch { /* The one before stays. */ }
}

// Another user finds none of them.
function claimDrafts() {
  const whose = `${DRAFT}of`
  if (!user || sessionStorage.getItem(whose) === user) return
  forgetDrafts()
  keep(whose, user)
}

// What was sent by a long form is kept until a page shows that it has arrived: where it led to the sign-in instead, or to the page
// of a problem, it is in the form again when that is shown again.
document.addEventListener('submit', event => {
  const form = event.target
  if (!form.matches('form.card.form')) return
  const fields = [...new FormData(form)].filter(([name]) => name !== 'csrf' && form.elements[name].type !== 'password')
  keep(FORM + location.pathname, JSON.stringify(fields))
})
function fillAgain() {
  if (!user || document.querySelector('[data-problem]')) return
  // A form that comes back with what is wrong about it has what was written.
  const form = document.querySelector('main [role="alert"]') ? null : document.querySelector('form.card.form')
  for (const name of Object.keys(sessionStorage).filter(name => name.startsWith(FORM))) {
    if (!form || name !== FORM + location.pathname) { sessionStorage.removeItem(name); continue }
    for (const [field, value] of JSON.parse(sessionStorage.getItem(name))) {
      if (form.elements[field]) form.elements[field].value = value
    }
  }
}

// Each page tells the other tabs whose it is. A page of somebody who is not signed in any more is left at once. The same user has
// another token after another sign-in, and the forms of all tabs go on with that.
function watchTabs() {
  const tabs = new BroadcastChannel('signed in')
  tabs.addEventListener('message', async ({ data }) => {
    if (data.leaves) { forgetDrafts(); return }
    if (!user) return
    if (data.user === user) {
      for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = data.csrf
      return
    }
    if (data.user) { forgetDrafts(); location.assign('/threads'); return }
    // Somebody may only look at the page for signing in: the server knows. A session that ended by itself ends no draft.
    const answer = await fetch('/account', { redirect: 'manual' }).catch(() => null)
    if (answer?.type === 'opaqueredirect') location.reload()
  })
  document.addEventListener('submit', event => {
    if (!event.target.matches('[action="/sign-out"], [action="/account/delete"]')) return
    forgetDrafts()
    tabs.postMessage({ leaves: true })
  })
  if (user || location.pathname === '/sign-in') tabs.postMessage({ user, csrf: document.body.dataset.csrf })
}

document.documentElement.classList.add('scripted')
improve(document)
claimDrafts()
fillAgain()
watchTabs()
document.querySelector('[aria-invalid="true"]')?.focus()
