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
