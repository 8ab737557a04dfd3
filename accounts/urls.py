"""The pages of accounts."""

from django.urls import path

from accounts import pages

app_name = "accounts"
urlpatterns = [path("organization/", pages.choose_organization, name="choose-organization")]
