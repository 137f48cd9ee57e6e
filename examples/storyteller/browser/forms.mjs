// Forms: what is written into one is neither lost nor put into another one, and none is sent twice by accident.
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled } from './visitor.mjs'

// Two stories of one answer, each with a title of its own.
export async function deciding(browser, app, model) {
  const una = await Visitor.come(browser, app.url, 'Una')
  const { page } = una
  await una.hire('Tolstoy')
  await una.startThread()
  model.replies.push('A story of winter and summer.', { publish: ['Winter', 'Summer'] }, 'Both are decided.')
  await una.ask('Tell me one')
  await settled(page, 'done')
  await una.ask('Publish it twice')
  await settled(page, 'waiting')
  const titles = page.getByLabel('Title of the story', { exact: true })
  await until('both wait', async () => await titles.count() === 2)
  await titles.nth(0).fill('Winter of mine')
  await titles.nth(1).fill('Summer of mine')
  await page.getByRole('button', { name: 'Publish', exact: true }).first().click()
  await until('one waits', async () => await titles.count() === 1)
  same('a title that is written stays in its own card', 'Summer of mine', await titles.inputValue())
  // So soon after the first one a click may be taken for its second half.
  await until('both are decided', async () => {
    if (await titles.count()) await page.getByRole('button', { name: 'Publish', exact: true }).click()
    return await answer(page) === 'Both are decided.'
  })
  await page.goto('/stories')
  same('and each story has its own', 'Summer of mine,Winter of mine', (await page.locator('.list strong').allTextContents()).sort().join())
  check('no page complained', una.complaints.length === 0, una.complaints.join('\n'))
  await una.context.close()
}

// A double click, as of those who learnt that everything needs one.
export async function doubled(browser, app) {
  const dot = await Visitor.come(browser, app.url, 'Dot')
  const { page } = dot
  const sent = []
  let release
  await page.exposeFunction('clicked', () => release())
  // The answer to the first click waits for the second one.
  const twice = async (id, to) => {
    const held = new Promise(done => { release = done })
    await page.route('**', async route => {
      if (route.request().method() === 'POST') { sent.push(id); await held }
      await route.continue().catch(() => {})
    })
    await page.evaluate(id => {
      const button = document.getElementById(id)
      button.click()
      setTimeout(() => { button.click(); clicked() }, 100)
    }, id)
    await page.waitForURL(to)
    await page.unroute('**')
  }
  await page.goto('/storytellers/new')
  await page.getByLabel('Name', { exact: true }).fill('Tolstoy')
  await twice('save', /storytellers\/\d+$/)
  await page.goto('/threads')
  await twice('begin', /threads\/\d+$/)
  await page.getByText('Thread', { exact: true }).click()
  await page.getByLabel('I am sure').check()
  await twice('delete-conversation', '**/threads')
  same('a double click sends a form once', 'save,begin,delete-conversation', sent.join())
  check('and so nothing is there twice', await page.getByText('No threads yet.').isVisible())
  check('no page complained', dot.complaints.length === 0, dot.complaints.join('\n'))
  await dot.context.close()
}

const signIn = async (page, name) => {
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

// The same user signs in again in another tab: the session is another one, and so is the token of its forms.
export async function renewed(browser, app) {
  const rae = await Visitor.come(browser, app.url, 'Rae')
  const { page } = rae
  await page.goto('/storytellers/new')
  const token = () => page.locator('input[name="csrf"]').first().inputValue()
  const before = await token()
  await page.getByLabel('Name', { exact: true }).fill('Tolstoy')
  const tab = await rae.tab()
  await tab.goto('/sign-in')
  await signIn(tab, 'Rae')
  await tab.waitForURL('**/threads')
  await until('the tab has heard of it', async () => await token() !== before)
  await page.getByRole('button', { name: 'Save' }).click()
  await page.waitForURL(/storytellers\/\d+$/)
  check('a form outlives another sign-in of its user', await page.getByRole('heading', { name: 'Tolstoy' }).isVisible())
  check('no page complained', rae.complaints.length === 0, rae.complaints.join('\n'))
  await rae.context.close()
}

// A session ends by itself while a form is being written.
export async function ended(browser, app) {
  const eli = await Visitor.come(browser, app.url, 'Eli')
  const { page } = eli
  await eli.hire('Tolstoy')
  const edit = `${page.url()}/edit`
  const instructions = page.getByLabel('Instructions')
  const save = () => page.getByRole('button', { name: 'Save' }).click()
  await page.goto(edit)
  await instructions.fill('Long instructions.')
  await eli.context.clearCookies()
  await save()
  await page.waitForURL(/sign-in/)
  await signIn(page, 'Eli')
  await page.waitForURL(edit)
  same('a form outlives the end of its session', 'Long instructions.', await instructions.inputValue())
  await save()
  await page.waitForURL(/storytellers\/\d+$/)
  check('and can be saved', await page.getByText('Long instructions.').isVisible())
  await page.goto(edit)
  await instructions.fill('Others.')
  await page.reload()
  same('what was saved is not kept', 'Long instructions.', await instructions.inputValue())

  await page.goto('/storytellers/new')
  await instructions.fill('Secret instructions.')
  await page.getByLabel('Name', { exact: true }).fill('Dostoevsky')
  await eli.context.clearCookies()
  await save()
  await page.waitForURL(/sign-in/)
  await signIn(page, 'Eva')
  await page.waitForURL('**/storytellers/new')
  same('another user does not find it', '', await page.getByLabel('Name', { exact: true }).inputValue())
  check('no page complained', eli.complaints.length === 0, eli.complaints.join('\n'))
  await eli.context.close()
}
