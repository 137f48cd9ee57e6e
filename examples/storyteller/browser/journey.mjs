// The whole path of a new user, with the demo model.
import { check, same, until } from './check.mjs'
import { Visitor, answer, isStored, settled, state, words } from './visitor.mjs'

export async function journey(browser, app) {
  const ada = await Visitor.come(browser, app.url, 'Ada')
  const page = ada.page
  check('a new user is led to the first storyteller', await page.getByRole('link', { name: 'Create your first storyteller' }).isVisible())
  check('the banner says that a demo model answers', await page.getByText('Demo model.').isVisible())

  await page.getByRole('link', { name: 'Create your first storyteller' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Scheherazade')
  await page.getByLabel('Description').fill('Tells what you ask for')
  await page.getByLabel('Longest answer').fill('3')
  await page.getByRole('button', { name: 'Save' }).click()
  check('a wrong field is named', await page.getByText('A whole number from 16 on').isVisible())
  same('and has the focus', 'max_output_tokens', await page.evaluate(() => document.activeElement.id))
  same('what was written is kept', 'Tells what you ask for', await page.getByLabel('Description').inputValue())
  await page.getByLabel('Longest answer').fill('')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.waitForURL(/storytellers\/\d+$/)

  await ada.startThread()
  await ada.ask('Tell me a story about a lighthouse')
  const lengths = new Set()
  await until('three growing lengths', async () => {
    const length = (await answer(page)).length
    if (length > Math.max(0, ...lengths)) lengths.add(length)
    return lengths.size >= 5
  })
  check(`words arrive one by one (${[...lengths].join(', ')} characters)`, (await state(page)) === 'typing')

  // By the keyboard: the button moves while words come, and a busy machine draws few frames to find it at rest in.
  await page.getByRole('button', { name: 'Stop' }).press('Enter')
  await settled(page, 'stopped')
  const stopped = await answer(page)
  check('an answer can be stopped', stopped.length > 0 && !stopped.endsWith('pencil.'))
  await isStored('what was stopped', page)

  await page.getByRole('button', { name: 'Try again' }).click()
  await until('the retry has taken its place', async () => (await state(page)) !== 'stopped')
  await words(page, 10)
  await page.reload()
  const early = (await answer(page)).length
  await until('the words go on after a reload', async () => (await answer(page)).length > early)
  const tab = await ada.tab()
  await tab.goto(page.url())
  await settled(page, 'done')
  await settled(tab, 'done')
  const whole = await answer(page)
  same('a second tab shows the same', whole, await answer(tab))
  check('the answer is whole', whole.startsWith('(demo model) Here is a story') && whole.endsWith('pencil.'), whole)
  same('every word is there once', 1, whole.split('Here is a story about').length - 1)
  await isStored('after a reload in mid-answer', page)
  check('the answer is signed, with its tokens', await page.locator('.turn').getByText(/tokens/).isVisible() && await page.locator('.message.assistant strong').textContent() === 'Scheherazade')

  // Busy: the second question waits, and either can be stopped from any tab.
  await ada.ask('Tell me a story about a tower')
  await words(page, 5)
  await ada.ask('And one about a bridge, a story')
  await page.locator('.state.queued').waitFor()
  check('a question in between is queued, and the page says so', true)
  await tab.locator('.turn', { hasText: 'about a tower' }).getByRole('button', { name: 'Stop' }).click()
  await until('the first has stopped', () => page.locator('[data-state="stopped"]').count())
  await until('the second is written', async () => /about a bridge/.test(await answer(page)))
  check('stopped from another tab, the next one begins', true)
  await page.locator('.turn:last-child').getByRole('button', { name: 'Stop' }).press('Enter')
  await settled(page, 'stopped')
  await tab.close()

  await until('a model has given the title', async () => (await page.locator('#title').textContent()) !== 'Untitled')
  check('a model has given the title', true)
  return { ada, page, whole }
}

// Killed while it writes: the page goes on by itself.
export async function killed(app, { ada, page }) {
  await ada.startThread()
  await ada.ask('Tell me a story about a comet')
  const before = await words(page, 15)
  await app.kill()
  check('killed in mid-answer', (await state(page)) === 'typing')
  await until('the page has noticed', async () => !(await page.locator('#conversation').getAttribute('data-connected')))
  await app.start()
  await settled(page, 'broken')
  const after = await answer(page)
  check('the page went on by itself', after.length > 0 && before.startsWith(after.slice(0, 40)))
  check('it says why the answer broke off', (await page.locator('.state.broken').textContent()).includes('the server was restarted'))
  same('its words are there once', 1, after.split('Here is a story about').length - 1)
  await isStored('after the kill', page)
  await page.getByRole('button', { name: 'Try again' }).click()
  await settled(page, 'done')
  check('tried again, it is whole', (await answer(page)).endsWith('pencil.'))
  await isStored('after the retry', page)
}

// The tool: the server is killed while it waits for a decision.
export async function published(app, { ada, page }) {
  await ada.ask('Please publish it')
  await settled(page, 'waiting')
  check('a call of the tool waits for the user', await page.getByRole('button', { name: 'Publish', exact: true }).isVisible())
  await page.getByText('Read it').click()
  check('the whole of what it would publish can be read', (await page.locator('.told .text').innerText()).endsWith('pencil.'))
  await app.kill()
  await app.start()
  await until('the page is back', () => page.locator('#conversation').getAttribute('data-connected'))
  check('and stays open', await page.locator('.told .text').isVisible())
  await page.getByLabel('Title of the story', { exact: true }).fill('The Comet')
  await page.getByRole('button', { name: 'Publish', exact: true }).click()
  await settled(page, 'done')
  check('approved after a restart', await page.locator('.call', { hasText: 'published a story' }).isVisible())
  await page.goto('/stories')
  same('it is published once', 1, await page.getByText('The Comet', { exact: true }).count())
  await page.getByText('The Comet', { exact: true }).click()
  check('the story has its page', (await page.locator('.story .text').innerText()).includes('about a comet'))
}

export async function otherUsers(browser, app, { ada, page }) {
  await page.goto('/threads')
  const thread = await page.locator('a.link').first().getAttribute('href')
  const bob = await Visitor.come(browser, app.url, 'Bob')
  for (const path of [thread, `${thread}/events`, `${thread}/turns/1`, '/storytellers/1', '/stories/1', '/operations']) {
    same(`another user's ${path} is not found`, 404, (await bob.page.goto(path)).status())
  }
  await bob.context.close()
  await page.goto('/operations')
  check('the first user sees the operations', await page.getByText('Costs of the last 30 days').isVisible())
  check('no page complained', ada.complaints.length === 0, ada.complaints.join('\n'))
}

// Nothing is deleted by one slip of a finger.
async function surely(page, what, button) {
  const url = page.url()
  await button.click()
  check(`${what} is not deleted without its tick`, page.url() === url && await page.getByLabel('I am sure').evaluate(box => box.validity.valueMissing))
  await page.getByLabel('I am sure').check()
  await button.click()
}

export async function goodbye({ page }) {
  await page.goto('/storytellers/1/edit')
  await page.getByLabel('Name', { exact: true }).fill('Dunyazad')
  await page.getByRole('button', { name: 'Save' }).click()
  check('a storyteller is renamed', await page.getByRole('heading', { name: 'Dunyazad' }).isVisible())
  await surely(page, 'a storyteller', page.getByRole('button', { name: 'Delete' }))
  await page.waitForURL('**/storytellers')
  await page.goto('/threads')
  await page.locator('a.link').first().click()
  check('answers keep the name of a deleted storyteller', (await page.locator('.message.assistant strong').first().textContent()) === 'Scheherazade')
  await page.getByText('Thread', { exact: true }).click()
  await page.getByLabel('Title').fill('Comets')
  await page.getByRole('button', { name: 'Rename' }).click()
  check('a thread is renamed', await page.getByRole('heading', { name: 'Comets' }).isVisible())
  await page.getByText('Thread', { exact: true }).click()
  await surely(page, 'a thread', page.getByRole('button', { name: 'Delete this thread' }))
  await page.waitForURL('**/threads')
  same('a thread is deleted', 0, await page.getByText('Comets').count())
  await page.goto('/account')
  await page.getByLabel('Delete everything').check()
  await page.getByRole('button', { name: 'Delete my account' }).click()
  await page.waitForURL('**/sign-in')
  await page.goto('/threads')
  check('the account is gone', page.url().endsWith('/sign-in'))
}
